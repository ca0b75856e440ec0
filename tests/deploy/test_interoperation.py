"""Dask's own programs and a deployment: its certificates in their configuration, both ways."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import offload
from offload.api import submit
from offload.api.client import client
from offload.deploy import scaling
from offload.deploy.services.dask import dask_security
from offload.deploy.variables import variables
from offload.registry.contact import Contact
from offload.registry.deployments import Place, Registry
from offload.util.processes import python
from tests.deploy.test_local import connected, contact_of, eventually, place, registry

pytestmark = pytest.mark.real

__all__ = ["place", "registry"]

SECONDS = 90.0
DASK = str(Path(sys.executable).parent / "dask")


@contextlib.contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[None]:
    """Run a program that is ended with the block; it has to be running then."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, env={**os.environ, **environment}
        )
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.terminate()
        process.wait(SECONDS)


def shell(text: str, command: Path, **environment: str) -> str:
    """Run a line of a user's shell, and return what it prints."""
    path = f"{command.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", text], capture_output=True, text=True, timeout=SECONDS, check=False,
        env={**os.environ, "PATH": path, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@offload.task(effects="ignore")
def where(number: int) -> list[int]:
    """Return what has started the process of the call: its warden, and the worker."""
    return [process.pid for process in psutil.Process().parents()]


def test_a_worker_of_dask_joins(place: Place, command: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = 'eval "$(offload env test)" && exec dask worker "$DASK_SCHEDULER_ADDRESS" --name guest --no-dashboard'
    path = f"{command.parent}:{os.environ['PATH']}"
    with running(["bash", "-c", line], tmp_path / "log", PATH=path):
        guest = eventually(lambda: next((w for w in connected(place) if w["name"] == "guest"), None))
        with client("test") as dask:
            assert dask.submit(sum, [1, 2], workers=[guest["address"]]).result(SECONDS) == 3
        # Calls of offload go there, too: here it is the only one.
        monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "test")
        scaling.scale(place, 0)
        eventually(lambda: [w["name"] for w in connected(place)] == ["guest"])
        with client("test") as dask:
            pid = dask.submit(os.getpid, workers=[guest["address"]]).result(SECONDS)
        assert pid in where.submit(1).result(SECONDS)[:2]
        submit.shutdown()


def test_plain_code_in_another_terminal(place: Place, command: Path) -> None:
    code = "from distributed import Client; c = Client(); print(c.submit(sum, [1, 2]).result()); c.close()"
    assert shell(f'eval "$(offload env test)" && python -c "{code}"', command) == "3\n"


def test_without_certificates_nobody_joins(place: Place, tmp_path: Path) -> None:
    address = str(contact_of(place).scheduler)
    done = subprocess.run(
        [DASK, "worker", address, "--name", "stranger", "--no-dashboard", "--death-timeout", "3"],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "stranger" not in [w["name"] for w in connected(place)]


PLAIN = """
from distributed import Client, get_client
with Client() as client:
    print(client.dashboard_link)
    assert client.dashboard_link in client._repr_html_()
    print(client.submit(lambda: get_client().dashboard_link).result().rpartition(":")[2])
"""


def test_every_client_knows_where_the_dashboard_is(place: Place) -> None:
    contact = contact_of(place)
    link = f"{contact.head['url']}/status"
    port = contact.head["url"].rpartition(":")[2]
    with client("test") as ours:
        assert ours.dashboard_link == link
        assert link in ours._repr_html_()
        assert repr(ours).startswith("<Client: 'tls://")

    async def awaited() -> tuple[str, str]:
        async with client("test", asynchronous=True) as ours:
            return ours.dashboard_link, ours._repr_html_()

    found, shown = asyncio.run(awaited())
    assert found == link
    assert link in shown
    environment = variables(place, contact)
    done = subprocess.run(
        [sys.executable, "-c", PLAIN], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [link, f"{port}/status"], done.stderr
    del environment["DASK_DISTRIBUTED__DASHBOARD__LINK"]  # who has not typed the lines of `offload env`
    done = subprocess.run(
        [sys.executable, "-c", PLAIN], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [f"http://127.0.0.1:{port}/status", f"{port}/status"], done.stderr


@pytest.fixture
def scheduler(place: Place, tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler of Dask's own, with the certificates of a deployment."""
    environment = variables(place, contact_of(place))
    log = tmp_path / "scheduler"
    command = [DASK, "scheduler", "--protocol", "tls", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    with running(command, log, **environment):
        found: re.Match[str] = eventually(lambda: re.search(r"Scheduler at: +(tls://\S+)", log.read_text()))
        yield found[1]


def test_a_scheduler_of_dask_takes_our_workers_and_theirs(
    place: Place, registry: Registry, scheduler: str, tmp_path: Path
) -> None:
    from distributed import Client

    environment = variables(place, contact_of(place))
    theirs = [DASK, "worker", scheduler, "--name", "theirs", "--no-dashboard"]
    other = registry.create("other", Path(place.spec).read_text())
    shutil.copytree(place.keys, other.keys)
    Contact("running", contact_of(place).head, scheduler).write(other.contact)
    ours = python("offload.deploy.workers.process", other.path, "ours")
    with (
        Client(scheduler, security=dask_security(place.keys)) as dask,
        running(theirs, tmp_path / "theirs", **environment),
        running(ours, tmp_path / "ours"),
    ):
        known: dict[str, Any] = eventually(
            lambda: names if len(names := _names(dask)) == 2 else None,
        )
        assert set(known) == {"theirs", "ours"}
        for address in known.values():
            assert dask.submit(sum, [1, 2], workers=[address], pure=False).result(SECONDS) == 3
    os.unlink(other.contact)


def _names(dask: Any) -> dict[str, str]:
    return {worker["name"]: address for address, worker in dask.scheduler_info(n_workers=-1)["workers"].items()}
