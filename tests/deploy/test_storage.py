"""Storage beside the workers, and storage alone: served, announced, started again, ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import offload as api
from offload.api import submit
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.deploy.security import credentials
from offload.errors import OffloadError
from offload.http.client import Client
from offload.identity.checksums import checksum
from offload.registry.contact import Contact
from offload.registry.deployments import Place, Registry
from offload.storage.http.database import HttpDatabase
from offload.storage.http.store import HttpStore
from offload.storage.local.database import SqliteDatabase
from offload.util.processes import family, wait_until_gone
from tests.conftest import Offload
from tests.deploy.test_local import contact_of, eventually

SECONDS = 60.0
ROOT = Path(__file__).parent.parent.parent


def storage_client(place: Place) -> Client:
    url = contact_of(place).storage
    assert url is not None
    return Client(url, credentials.token(place.keys), credentials.authority(place.keys))


def test_contact_files_without_storage_are_read(tmp_path: Path) -> None:
    old = {"version": 1, "state": "running", "head": {"pid": 1}, "scheduler": "tls://127.0.0.1:8786", "jobs": None}
    (tmp_path / "contact.json").write_text(json.dumps(old))
    found = Contact.read(str(tmp_path / "contact.json"))
    assert found is not None
    assert (found.scheduler, found.storage) == ("tls://127.0.0.1:8786", None)


@api.task
def add(a: int, b: int) -> int:
    return a + b


@pytest.mark.real
def test_storage_alone(offload: Offload, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert add(1, 2) == 3
    up = offload("up", "--name", "kept", "--storage-only", "--json", timeout=SECONDS)
    assert up.returncode == 0, up.stderr
    told = json.loads(up.stdout)
    assert told["scheduler"] is None
    registry = Registry(str(home))
    place = registry.get("kept")
    try:
        members = family(contact_of(place).head["pid"])
        assert len(members) == 2  # the head and the storage service
        with HttpStore(storage_client(place)) as store, HttpDatabase(storage_client(place)) as database:
            assert store.put([b"data"]) == [checksum(b"data")]
            (run,) = database.runs(limit=10)
            assert run.label.endswith(":add")
        (service,) = launch.status(place)["services"]
        assert (service["name"], service["state"]) == ("storage", "running")
        os.kill(service["pid"], signal.SIGKILL)
        eventually(lambda: launch.status(place)["services"][0]["restarts"] == 1)
        eventually(lambda: launch.status(place)["services"][0]["state"] == "running")
        assert contact_of(place).storage == told["storage"]
        with HttpStore(storage_client(place)) as store:
            assert store.get([checksum(b"data")]) == [b"data"]
        for words in (["scale", "kept", "2"], ["dashboard", "kept", "--print"]):
            refused = offload(*words)
            assert refused.returncode in (1, 2)
            assert b"storage only" in refused.stderr
        assert b"DASK_SCHEDULER_ADDRESS" not in offload("env", "kept").stdout
        monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "kept")
        with pytest.raises(OffloadError, match="storage only"):
            add.submit(3, 4).result(SECONDS)
        members |= family(contact_of(place).head["pid"])
    finally:
        down = offload("down", "kept", timeout=SECONDS)
    assert down.returncode == 0, down.stderr
    assert wait_until_gone(members, 5) == {}


def labels(database: Path) -> list[str]:
    with contextlib.closing(SqliteDatabase(str(database))) as opened:
        return sorted(run.label.rpartition(":")[2] for run in opened.runs(limit=100))


@api.task
def half(number: int) -> float:
    return number / 2


@api.task
def halves(count: int) -> bytes:
    return bytes(100_000) if sum(half(n) for n in range(count)) else b""


@pytest.mark.real
def test_a_deployment_with_storage_of_its_own(
    offload: Offload, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffers, database = tmp_path / "kept" / "buffers", tmp_path / "kept" / "results.sqlite"
    words = ["--buffers", str(buffers), "--database", str(database)]
    up = offload("up", "--name", "own", "--workers", "1", *words, timeout=SECONDS)
    assert up.returncode == 0, up.stderr
    try:
        assert add(1, 1) == 2  # nothing is in use yet: this goes to the home
        monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "own")
        future = halves.submit(4)  # a call with a large result, that makes calls
        assert future.result(SECONDS) == bytes(100_000)
        assert add.submit(1, 1).result(SECONDS) == 2
        assert add(2, 2) == 4  # computed here
        assert labels(database) == ["add", "add", "half", "half", "half", "half", "halves"]
        assert future.transformation is not None
        shown = offload("history", future.transformation)
        assert b"halves" in shown.stdout
        with HttpDatabase(storage_client(Registry(str(home)).get("own"))) as served:
            assert len(served.runs(limit=100)) == 7
        script = "import tests.deploy.test_storage as t; f = t.halves.submit(4); f.result(60); print(f.recalled)"
        second = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, timeout=SECONDS, check=True
        )
        assert second.stdout == b"True\n"
        monkeypatch.delenv("OFFLOAD_DEPLOYMENT")
        assert labels(home / "database.sqlite") == ["add"]
        assert offload("history", future.transformation).returncode == 1
        assert offload("use", "own").returncode == 0
        assert b"halves" in offload("history", future.transformation).stdout
        # A head that comes back, as it was, has the same storage.
        os.kill(contact_of(Registry(str(home)).get("own")).head["pid"], signal.SIGKILL)
        assert halves.submit(5).result(SECONDS) == bytes(100_000)
        assert labels(database).count("halves") == 2
    finally:
        submit.shutdown()
        assert offload("down", "own", timeout=SECONDS).returncode == 0
    assert offload("history", future.transformation).returncode == 1
    variables = {"OFFLOAD_BUFFERS": str(buffers), "OFFLOAD_DATABASE": str(database)}
    assert b"halves" in offload("history", future.transformation, env=variables).stdout
    (put,) = offload("put", str(ROOT / "LICENSE"), env=variables).stdout.split()[:1]
    assert offload("get", put.decode(), env=variables).stdout == (ROOT / "LICENSE").read_bytes()
    assert offload("get", put.decode()).returncode == 1


@pytest.mark.real
def test_storage_that_cannot_be_is_told_at_once(offload: Offload, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    refused = offload("up", "--buffers", tmp_path / "file" / "x")
    assert refused.returncode == 3
    assert b"file" in refused.stderr
    assert b"Traceback" not in refused.stderr
    assert b"there are no deployments" in offload("list").stderr


@pytest.mark.real
def test_storage_beside_workers(registry_of_workers: tuple[Registry, Place]) -> None:
    _, place = registry_of_workers
    names = [service["name"] for service in launch.status(place)["services"]]
    assert names == ["scheduler", "jobs", "storage"]
    with HttpStore(storage_client(place)) as store:
        assert store.put([b"data"]) == [checksum(b"data")]


@pytest.fixture
def registry_of_workers(home: Path) -> Iterator[tuple[Registry, Place]]:
    registry = Registry(str(home))
    launch.up(registry, Spec(name="test", workers=1), print)
    place = registry.get("test")
    yield registry, place
    launch.down(registry, place, print)
