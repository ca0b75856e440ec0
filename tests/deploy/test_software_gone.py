"""A deployment whose environment has been removed or moved away, and heads that are asked for nonsense."""

from __future__ import annotations

import asyncio
import json
import os
import site
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

import offload as package
from offload.deploy.config.spec import Spec
from offload.deploy.head import api
from offload.deploy.lifecycle import local as launch
from offload.deploy.security import credentials
from offload.deploy.services import jobs
from offload.errors import OffloadError, StorageError
from offload.http import software
from offload.http.auth import Admission
from offload.registry.deployments import Place, Registry
from tests.conftest import Offload
from tests.deploy.test_local import contact_of

SECONDS = 60.0
TOKEN = "token" * 4


def test_software_that_is_gone_or_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert software.gone() is None
    assert software.explained(ValueError("x")) is None
    changed = software.explained(ModuleNotFoundError("No module named 'x'"), "t")
    assert changed is not None
    assert changed.message == f"its environment {sys.prefix} has changed: No module named 'x'"
    assert str(changed.hint).endswith("offload down t, then offload up t")
    monkeypatch.setattr(sys, "executable", "/nowhere/bin/python")
    gone = software.explained(ValueError("x"))
    assert gone is not None
    assert gone.message == f"its environment {sys.prefix} is gone"
    assert str(gone.hint).endswith("offload down, then offload up")


def test_a_job_service_without_its_software_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "offload.deploy.services.dask", None)
    with pytest.raises(OffloadError, match=r"t cannot go on: its environment .* has changed") as caught:
        jobs.connect(Place(str(tmp_path / "t")))
    assert str(caught.value.hint).endswith("offload down t, then offload up t")


@pytest.mark.filterwarnings("ignore:It is recommended to use web")  # keys of requests are texts here
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ModuleNotFoundError("No module named 'x'"), f"t cannot go on: its environment {sys.prefix} has changed"),
        (RuntimeError("oh"), "internal error of the head of t: RuntimeError: oh"),
        (StorageError("no space left"), "no space left"),
    ],
)
def test_a_head_that_fails_says_why(tmp_path: Path, error: Exception, told: str) -> None:
    async def status() -> None:
        raise error

    async def ask() -> tuple[int, Any]:
        head: Any = SimpleNamespace(place=Place(str(tmp_path / "t")), socket="", status=status, asked=0.0)
        async with TestClient(TestServer(api.application(head, Admission(TOKEN)))) as client:
            answer = await client.get("/v1/status", headers={"Authorization": f"Bearer {TOKEN}"})
            return answer.status, json.loads(await answer.text())

    code, answer = asyncio.run(ask())
    assert code >= 400
    assert answer["error"].startswith(told)
    assert answer["hint"] or isinstance(error, StorageError)


@pytest.fixture
def moved(home: Path, tmp_path: Path) -> Iterator[Path]:
    """An environment of its own that runs a deployment; it is moved away."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    seen = [os.path.dirname(os.path.dirname(str(package.__file__))), *site.getsitepackages()]
    (next(environment.glob("lib/*/site-packages")) / "all.pth").write_text("\n".join(seen))
    up = [str(environment / "bin/python"), "-m", "offload", "up", "--name", "t", "--workers", "1"]
    done = subprocess.run(up, capture_output=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    environment.rename(tmp_path / "away")
    yield environment
    place = Registry(str(home)).place("t")
    if os.path.exists(place.spec):
        launch.down(Registry(str(home)), place, print)


@pytest.mark.real
def test_an_environment_that_was_moved_away_is_named(moved: Path, offload: Offload) -> None:
    status = offload("status", "t", timeout=SECONDS)
    assert status.returncode == 1
    assert f"{moved}" in status.stderr.decode()
    assert b"is gone" in status.stderr
    assert b"offload down t, then offload up t" in status.stderr
    assert b"internal error" not in status.stderr
    assert offload("down", "t", timeout=SECONDS).returncode == 0


NONSENSE = [b"[]", b"null", b"", b"no JSON", b'"text"', b"[" * 100_000, b"\xff\xfe", b"{", b"3"]


@pytest.mark.real
def test_nonsense_is_refused_by_a_head_with_a_reason(home: Path) -> None:
    registry = Registry(str(home))
    launch.up(registry, Spec(name="t", workers=0), print)
    place = registry.get("t")
    try:
        for path in ("scale", "adapt", "logs", "grants", "grants/revoke", "certificate"):
            for body in NONSENSE:
                code, told = _post(place, f"/v1/{path}", body)
                assert code == 400, (path, body[:10], told)
                assert json.loads(told)["error"] == f"POST /v1/{path} asks for a JSON object"
        for path, body in [
            ("grants", b'{"label": "\\ud800"}'),
            ("grants", b'{"label": "x", "seconds": NaN}'),
            ("grants", b'{"label": "x", "seconds": 1e400}'),
            ("grants", b'{"label": "x", "seconds": true}'),
            ("logs", b'{"read": {"head": [1e3, 2]}}'),
            ("logs", b'{"read": {"head": [' + b"9" * 30 + b", 2]}}"),
            ("scale", b'{"workers": 1, "group": ["x"]}'),
        ]:
            code, told = _post(place, f"/v1/{path}", body)
            assert code == 400, (path, body, told)
            assert json.loads(told)["error"]
        assert _post(place, "/v1/scale", b"{}", "application/json; charset=klingon")[0] == 400
        log = Path(place.log("head")).read_text()
        assert "Traceback" not in log
        assert "Error" not in log
    finally:
        launch.down(registry, place, print)


def _post(place: Place, path: str, body: bytes, kind: str = "application/json") -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {credentials.token(place.keys)}", "Content-Type": kind}
    sent = urllib.request.Request(contact_of(place).head["url"] + path, body, headers, method="POST")
    context = ssl.create_default_context(cafile=credentials.authority(place.keys))
    try:
        with urllib.request.urlopen(sent, timeout=SECONDS, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()
