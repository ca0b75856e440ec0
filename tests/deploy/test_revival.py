"""Heads that die again and again while somebody waits for them: whoever needs one tries until it is up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.registry import revival
from offload.registry.deployments import Place, Registry
from offload.storage.retrying import NotUpError
from offload.util.processes import of_place
from tests.deploy.test_local import contact_of, eventually

SECONDS = 120.0
SCRIPT = """
import offload, sys, time

@offload.task(effects="ignore")
def slow(log, n):
    time.sleep(0.5)
    with open(log, "a") as file:
        file.write(f"{n}\\n")
    return 2 * n

print(offload.gather(slow.map([sys.argv[1]] * 40, range(40))))
"""


@pytest.fixture
def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    registry = Registry(str(home))
    launch.up(registry, Spec(name="test", workers=2), print)
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "test")
    place = registry.get("test")
    yield place
    launch.down(registry, place, print)


def heads(place: Place) -> list[int]:
    return list(of_place(place.path, "offload.deploy.head"))


def bring_ups(parents: list[int]) -> list[psutil.Process]:
    """Return the processes by which clients bring it up."""
    found = []
    for parent in parents:
        for child in psutil.Process(parent).children():
            if "offload.deploy.lifecycle.restart" in child.cmdline():
                found.append(child)
    return found


@pytest.mark.real
def test_a_head_that_is_killed_again_and_its_bring_up_killed_too(place: Place, tmp_path: Path) -> None:
    """Two clients wait meanwhile: both bring it up, one after the other, and neither gives up."""
    log, errors = tmp_path / "log", tmp_path / "errors"
    (tmp_path / "script.py").write_text(SCRIPT)
    with open(errors, "wb") as file:
        clients = [
            subprocess.Popen(
                [sys.executable, tmp_path / "script.py", log], stdout=subprocess.PIPE, stderr=file, cwd=tmp_path
            )
            for _ in range(2)
        ]
    pids = [client.pid for client in clients]
    try:
        eventually(lambda: log.exists() and len(log.read_text().splitlines()) > 2)
        head = int(contact_of(place).head["pid"])
        os.kill(head, signal.SIGKILL)
        # The bring-up itself is killed, then the head of the next one.
        eventually(lambda: bring_ups(pids))[0].kill()
        os.kill(eventually(lambda: [pid for pid in heads(place) if pid != head])[0], signal.SIGKILL)
        for client in clients:
            output, _ = client.communicate(timeout=SECONDS)
            assert output.decode() == f"{[2 * n for n in range(40)]}\n", errors.read_text()
            assert client.returncode == 0
    finally:
        for client in clients:
            client.kill()
            client.wait()
    said = errors.read_text()
    assert "Traceback" not in said
    assert "its head has died" in said
    assert len(log.read_text().splitlines()) <= 40 + 3 * 2 * 2, "what was recorded ran again"


@pytest.fixture
def died(home: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A deployment that was there, and whose bring-ups are scripts of the test."""
    monkeypatch.setattr(revival, "SHORTEST", 0.2)
    monkeypatch.setattr(revival, "_under_way", {})
    return Registry(str(home)).create("hpc", Spec(name="hpc").to_json())


def by(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    def begin(one: revival._Revival) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sh", "-c", script], stderr=one._said)

    monkeypatch.setattr(revival._Revival, "_begin", begin)


def why(place: Place) -> str:
    with pytest.raises(NotUpError) as caught:
        revival.revive(place)
    return caught.value.message


def test_reasons(died: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    fails = "echo 'connecting to ssh://h' >&2; echo 'job 54 was cancelled' >&2; exit 1"
    by(monkeypatch, fails)
    told = "its head has died and does not come up: job 54 was cancelled; trying again"
    assert why(died) == told
    assert why(died) == told  # at once: the next try has its time
    by(monkeypatch, "echo 'connecting to ssh://h' >&2; kill -9 $$")
    killed = "its head has died and does not come up: what brings it up was ended by SIGKILL; trying again"
    eventually(lambda: why(died) == killed)
    by(monkeypatch, "echo 'somebody else is bringing hpc up or down; waiting' >&2; sleep 2; exit 3")
    waiting = "its head has died; bringing it up again: somebody else is bringing hpc up or down; waiting"
    eventually(lambda: why(died) == waiting)
    began = time.monotonic()
    eventually(lambda: "trying again" in why(died))
    assert time.monotonic() - began < SECONDS
