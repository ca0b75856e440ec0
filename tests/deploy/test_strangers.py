"""What somebody without credentials gets from a running deployment: nothing, from any port, socket or file."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

import offload
from offload.api import submit
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.deploy.security import credentials, pki
from offload.registry.deployments import Place, Registry
from offload.util.processes import family
from tests.deploy import stranger
from tests.deploy.test_local import connected, contact_of, eventually
from tests.requirements import requires_program, requires_root

pytestmark = pytest.mark.real

SECONDS = 200.0


@offload.task
def double(n: int) -> int:
    return 2 * n


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A deployment that has been used, in a directory that everybody may enter, by somebody who protects nothing."""
    top = tempfile.mkdtemp(prefix="offload-strangers-")
    variables = {"OFFLOAD_HOME": f"{top}/home", "TMPDIR": f"{top}/tmp", "OFFLOAD_DEPLOYMENT": "test"}
    old, umask = {name: os.environ.get(name) for name in variables}, os.umask(0)
    os.environ.update(variables)
    try:
        os.chmod(top, 0o755)
        os.mkdir(f"{top}/tmp", 0o777)
        registry = Registry(f"{top}/home")
        launch.up(registry, Spec(name="test", workers=2), print)
        place = registry.get("test")
        eventually(lambda: len(connected(place)) == 2)
        assert offload.gather(double.map(range(20)), timeout=SECONDS) == list(range(0, 40, 2))
        yield place
        submit.shutdown()
        launch.down(registry, place, print)
    finally:
        os.umask(umask)
        for name, value in old.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        from offload.registry.session import close_sessions

        close_sessions()
        shutil.rmtree(top)


@pytest.fixture(scope="module")
def members(place: Place) -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in family(contact_of(place).head["pid"])]


@pytest.fixture(scope="module")
def asked(place: Place, members: list[psutil.Process]) -> dict[str, Any]:
    """What is to be tried: every port and socket that any process of the deployment listens on, and its files."""
    listening = [c for m in members for c in m.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert {c.laddr[0] for c in listening} == {"127.0.0.1"}
    ports = sorted({c.laddr[1] for c in listening})
    assert len(ports) >= 8  # head, scheduler, jobs, storage, two workers and their nannies
    assert not [c for m in members for c in m.net_connections("udp")]
    runtime = contact_of(place).head["runtime"]
    sockets = {str(c.laddr) for m in members for c in m.net_connections("unix") if c.laddr}
    assert os.path.join(runtime, "dashboard") in sockets
    top = os.path.dirname(place.home)
    return {
        "ports": ports, "sockets": sorted(sockets), "tops": [top], "certificate": None,
        "processes": [m.pid for m in members],
    }  # fmt: skip


def check_ports(place: Place, answers: list[tuple[int, str, str]]) -> None:
    contact, token = contact_of(place), credentials.token(place.keys)
    services = {int(str(url).rpartition(":")[2]) for url in (contact.head["url"], contact.jobs, contact.storage)}
    assert {port for port, _, _ in answers} == services  # of Dask's, nobody without a certificate hears anything
    for port, said, got in answers:
        status = got.partition("\r\n")[0].split(" ")
        assert status[0].startswith("HTTP/") and status[1] in ("400", "401", "403"), (port, said, got)
        assert token not in got
        assert len(got) < 600, (port, said, got)  # it says that it refuses, and no more


def test_without_credentials(place: Place, asked: dict[str, Any], tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    pki.create_authority(other)
    pki.issue(other, "dask", ["127.0.0.1"])
    for certificate in (None, os.path.join(other, "dask")):
        check_ports(place, stranger.try_ports(asked["ports"], certificate))


def test_as_another_user(place: Place, asked: dict[str, Any]) -> None:
    requires_root()
    setpriv = requires_program("setpriv")
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or requires_program("python3")
    done = subprocess.run(
        [
            setpriv,
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            python,
            "-c",
            Path(stranger.__file__).read_text(),
        ],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd="/",
        timeout=SECONDS,
        check=True,
    )
    got = json.loads(done.stdout)
    assert got["user"] == 65534
    check_ports(place, got["ports"])
    assert got["sockets"] == []
    assert got["environments"] == []
    top = os.path.dirname(place.home)
    assert got["files"] == [top, f"{top}/tmp"]  # what everybody may look into, and nothing within


def test_no_secret_is_on_a_command_line_or_in_an_environment(place: Place, members: list[psutil.Process]) -> None:
    secrets = [credentials.token(place.keys)]
    for name in os.listdir(place.keys):
        if name.endswith(".key"):
            secrets += Path(place.keys, name).read_text().splitlines()[1:-1]
    assert len(secrets) >= 6
    for member in members:
        shown = [" ".join(member.cmdline()), *member.environ().values()]
        for text in [*shown, *filter(None, map(decoded, shown))]:
            assert not [secret for secret in secrets if secret in text], member


def decoded(text: str) -> str:
    """Return the text of base64, in which Dask hands its configuration on."""
    try:
        return base64.urlsafe_b64decode(text).decode(errors="replace")
    except ValueError:
        return ""


def test_a_browser_sees_the_dashboard_and_controls_nothing(place: Place) -> None:
    contact, token = contact_of(place), credentials.token(place.keys)
    url = contact.head["url"]

    async def browse() -> None:
        context = ssl.create_default_context(cafile=credentials.authority(place.keys))
        jar = aiohttp.CookieJar(unsafe=True)  # of an address, not of a name
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), cookie_jar=jar) as browser:
            async with browser.get(f"{url}/login?token={token}") as page:
                assert page.status == 200
                assert "Dask" in await page.text()
            assert token not in str(list(jar))
            for path in ("/v1/status", "/v1/down", "/v1/scale"):
                async with browser.post(url + path, json={"workers": 0}) as refused:
                    assert refused.status == 401
            protocols = ("bokeh", "x")
            other = {"Origin": "https://127.0.0.1:1"}
            with pytest.raises(aiohttp.WSServerHandshakeError) as handshake:
                await browser.ws_connect(f"{url}/status/ws", protocols=protocols, headers=other)
            assert handshake.value.status == 401
            async with browser.get(f"{url}/status", headers=other) as refused:
                assert refused.status == 401
            async with browser.get(f"{url}/status", headers={"Origin": url}) as page:
                assert page.status == 200
        await asyncio.sleep(0.5)  # connections with TLS take a moment to close, and aiohttp does not wait for it

    asyncio.run(browse())
    assert launch.state(place) == "running"


def test_dask_itself_refuses(place: Place) -> None:
    address = contact_of(place).scheduler or ""
    for tried in (address.replace("tls://", "tcp://"), address):
        done = subprocess.run(
            [sys.executable, "-c", f"from distributed import Client; Client({tried!r}, timeout=5)"],
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 1
        assert b"Error" in done.stderr
