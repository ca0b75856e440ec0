"""Heads that end with the one who started them, and heads that end when there is nothing to do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import offload as api
from offload.api import submit
from offload.api.client import client
from offload.commands.running import stale_scratch
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.deploy.security import credentials
from offload.errors import OffloadError, UsageError
from offload.http.client import Client
from offload.registry.contact import Contact
from offload.registry.deployments import Place, Registry
from offload.storage.http.store import HttpStore
from offload.util.processes import family, wait_until_gone
from offload.util.quantities import duration_text, parse_duration
from tests.conftest import Offload
from tests.deploy.test_local import contact_of, eventually

SECONDS = 60.0


@pytest.mark.parametrize("text", ["", "s", "-1s", "1x", "ten", "1.2.3s", "1 0"])
def test_times_that_cannot_be(text: str) -> None:
    with pytest.raises(UsageError, match="no length of time"):
        parse_duration(text)


def test_times_are_shown_as_they_were_given() -> None:
    for text in ("30 s", "10 min", "2 h", "1 d", "0.5 s"):
        assert duration_text(parse_duration(text.replace(" ", "").replace("min", "m"))) == text
    with pytest.raises(UsageError, match="idleness"):
        Spec(idle=0.0)


def test_those_that_have_ended_stand_in_nobodys_way(tmp_path: Path) -> None:
    registry = Registry(str(tmp_path))
    one, two = registry.create("one", "{}"), registry.create("two", "{}")
    with pytest.raises(api.NotFoundError, match="no deployment is active"):
        registry.only(None)
    Path(one.ended).write_text("idle for 30 s\n")
    assert registry.only(None).name == "two"
    assert launch.state(one) == "ended: idle for 30 s"
    registry.remove(two.name)
    assert registry.only(None).name == "one"
    registry.create("one", "{}")
    assert launch.state(one) == "down"


Started = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def foreground(home: Path, command: Path, tmp_path: Path) -> Iterator[Started]:
    """Start ``offload up --foreground`` and wait until it is up."""
    started = []

    def start(*words: str) -> subprocess.Popen[bytes]:
        with open(tmp_path / "stderr", "wb") as errors:
            process = subprocess.Popen(
                [command, "up", "--foreground", *words], stdout=subprocess.PIPE, stderr=errors, start_new_session=True
            )
        started.append(process)
        eventually(lambda: b" is up, after" in (tmp_path / "stderr").read_bytes())
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=SECONDS)


@pytest.mark.real
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_one_who_started_it(
    foreground: Started, home: Path, tmp_path: Path, number: int, offload: Offload
) -> None:
    process = foreground("--workers", "1")
    place = Registry(str(home)).get("local")
    assert process.stdout is not None
    shown = b"".join(process.stdout.readline() for _ in range(4)).decode()
    assert str(contact_of(place).scheduler) in shown
    assert "running" in offload("list").stdout.decode()
    members = family(contact_of(place).head["pid"])
    os.kill(process.pid, number)
    code = process.wait(SECONDS)
    assert wait_until_gone(members, 30) == {}
    if number == signal.SIGKILL:
        assert launch.state(place) == "down"
        assert offload("down", "local").returncode == 0
    else:
        assert code == 0
        assert b"offload: local is down" in (tmp_path / "stderr").read_bytes()
    assert json.loads(offload("list", "--json").stdout) == []


@pytest.mark.real
def test_down_ends_the_one_in_the_foreground(foreground: Started, tmp_path: Path, offload: Offload) -> None:
    process = foreground("--storage-only")
    refused = offload("up", "--foreground", "--storage-only")
    assert refused.returncode == 1
    assert b"runs in the background" in refused.stderr or b"is up" in refused.stderr
    assert offload("down", timeout=SECONDS).returncode == 0
    assert process.wait(SECONDS) == 0


@api.task
def slow(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@pytest.mark.real
def test_what_a_head_leaves_that_was_killed_is_known_for_what_it_is(home: Path) -> None:
    registry = Registry(str(home))
    launch.up(registry, Spec(name="t", storage_only=True), print)
    place = registry.get("t")
    try:
        head = contact_of(place).head
        assert stale_scratch.abandoned(os.path.dirname(head["runtime"])).count(head["runtime"]) == 0
        members = family(head["pid"])
        os.kill(head["pid"], signal.SIGKILL)
        assert wait_until_gone(members, 30) == {}
        assert os.path.isdir(head["runtime"])
        past = time.time() - 100
        os.utime(head["runtime"], (past, past))
        os.unlink(place.contact)  # else `down` knows it from there
    finally:
        launch.down(registry, place, print)
    assert not os.path.exists(head["runtime"])


def idle_place(home: Path, **choices: Any) -> Place:
    registry = Registry(str(home))
    launch.up(registry, Spec(name="idle", **choices), print)
    return registry.get("idle")


@pytest.mark.real
def test_it_ends_when_there_is_nothing_to_do(home: Path, offload: Offload, monkeypatch: pytest.MonkeyPatch) -> None:
    place = idle_place(home, workers=1, idle=4.0)
    members = family(contact_of(place).head["pid"])
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "idle")
    assert slow.submit(8.0).result(SECONDS) == 8.0
    with client("idle") as dask:
        assert dask.submit(time.sleep, 8).result(SECONDS) is None
    assert launch.state(place) == "running"
    members |= family(contact_of(place).head["pid"])
    eventually(lambda: launch.state(place) == "ended: idle for 4 s")
    assert wait_until_gone(members, 30) == {}
    assert b"ends: idle for 4 s" in offload("logs", "--worker", "head").stdout
    assert b"ended: idle for 4 s" in offload("list").stdout
    with pytest.raises(OffloadError, match="has ended: idle for 4 s"):
        slow.submit(0.5).result(SECONDS)
    submit.shutdown()
    assert offload("up", "--name", "idle", timeout=SECONDS).returncode == 0  # as it was
    assert slow.submit(0.25).result(SECONDS) == 0.25
    submit.shutdown()
    eventually(lambda: launch.state(place).startswith("ended"))
    assert offload("down", "idle").returncode == 0
    assert json.loads(offload("list", "--json").stdout) == []


@pytest.mark.real
def test_storage_that_is_used_is_not_idle(home: Path) -> None:
    place = idle_place(home, storage_only=True, idle=3.0)
    contact = contact_of(place)
    assert contact.storage is not None
    with HttpStore(Client(contact.storage, credentials.token(place.keys), credentials.authority(place.keys))) as store:
        for _ in range(8):
            store.has([])
            store.put([b"data"])
            time.sleep(1)
            launch.status(place)
            assert launch.state(place) == "running"
    eventually(lambda: launch.status(place)["state"].startswith("ended"))  # asking how it is keeps nothing alive
    assert Contact.read(place.contact) is None


@pytest.mark.real
def test_a_head_whose_directory_is_removed_ends(offload: Offload, home: Path) -> None:
    """Nobody could find it any more; its children end with it."""
    assert offload("up", "--name", "t", "--workers", "1").returncode == 0
    place = Place(str(home / "deployments" / "t"))
    members = family(int(contact_of(place).head["pid"]))
    assert len(members) > 3
    shutil.rmtree(place.path)
    assert wait_until_gone(members, SECONDS) == {}
    assert b"there are no deployments" in offload("list").stderr


@pytest.mark.real
def test_odd_surroundings(offload: Offload, home: Path, tmp_path: Path) -> None:
    """A temporary directory with a long name, and warnings that are errors."""
    long = tmp_path / ("x" * 110)
    long.mkdir()
    odd = {"TMPDIR": str(long), "PYTHONWARNINGS": "error"}
    done = offload("up", "--name", "t", "--workers", "1", env=odd)
    assert done.returncode == 0, done.stderr
    status = offload("status", "t", "--json", env=odd)
    assert json.loads(status.stdout)["state"] == "running", status.stderr
    assert offload("down", "t", env=odd).returncode == 0
