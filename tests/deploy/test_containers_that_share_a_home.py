"""Two containers that share one home: process ids of the one mean nothing in the other."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.errors import OffloadError
from offload.registry import connect
from offload.registry.contact import Contact
from offload.registry.deployments import Place, Registry
from offload.util import liveness
from offload.util.processes import wait_until_gone
from tests.conftest import Offload
from tests.deploy.test_local import eventually

SECONDS = 60.0
ABOVE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def test_a_start_time_names_boot_and_container() -> None:
    since = liveness.started(os.getpid())
    assert since is not None
    assert liveness.is_from_here(since)
    assert liveness.is_of_this_boot(since)
    other = since.rpartition("[")[0] + "[1]"
    assert not liveness.is_from_here(other)
    assert liveness.is_of_this_boot(other)
    assert not liveness.is_alive(os.getpid(), other)
    before = "1 after boot 00000000-0000-0000-0000-000000000000 in pid:[1]"
    assert not liveness.is_of_this_boot(before)


def test_who_only_looks_at_a_lock_does_not_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not liveness.is_locked(str(path))
    path.write_text("")
    assert not liveness.is_locked(str(path))
    with subprocess.Popen(["flock", str(path), "cat"], stdin=subprocess.PIPE) as holder:
        eventually(lambda: liveness.is_locked(str(path)))
        assert liveness.is_locked(str(path))
        assert holder.stdin is not None
        holder.stdin.close()
    assert not liveness.is_locked(str(path))


Started = Callable[..., Place]


@pytest.fixture
def in_container(home: Path, command: Path, tmp_path: Path) -> Iterator[Started]:
    """Bring a deployment up in a PID namespace of its own, as in a container, and return its place."""
    if os.geteuid() or shutil.which("unshare") is None:
        pytest.skip("PID namespaces are made by root, with unshare")
    begun: list[subprocess.Popen[bytes]] = []

    def start(*more: str) -> Place:
        above = [*ABOVE, *more, "sh", "-c", 'ip link set lo up 2>/dev/null; exec "$@"', "sh"]
        words = [str(command), "up", "--foreground", "--name", "t", "--storage-only"]
        with open(tmp_path / "stderr", "wb") as said:
            begun.append(subprocess.Popen([*above, *words], stdout=subprocess.DEVNULL, stderr=said))
        eventually(lambda: b" is up, after" in (tmp_path / "stderr").read_bytes())
        return Registry(str(home)).get("t")

    yield start
    for process in begun:
        process.kill()
        process.wait(SECONDS)


@pytest.mark.real
def test_one_that_answers_is_used_and_ended_from_here(in_container: Started, home: Path, offload: Offload) -> None:
    place = in_container()
    contact = Contact.read(place.contact)
    assert contact is not None
    assert contact.is_of_another_container()
    assert launch.state(place) == "running"
    again, started = launch.up(Registry(str(home)), Spec(name="t", storage_only=True), print)
    assert not started
    assert again.head == contact.head
    with contextlib.closing(connect.connect(place, "storage")) as client:
        client.call("GET", "/v1/idle")
    assert offload("status", "t").returncode == 0
    assert offload("down", "t", timeout=SECONDS).returncode == 0
    eventually(lambda: not _left(place))
    assert not os.path.exists(place.path)


@pytest.mark.real
def test_one_that_is_out_of_reach_is_elsewhere(in_container: Started, home: Path, offload: Offload) -> None:
    place = in_container("--net")
    before = _left(place)
    assert launch.state(place) == "elsewhere"
    assert b"elsewhere" in offload("list").stdout
    status = offload("status", "t")
    assert status.returncode == 1
    assert b"runs in another container of this machine" in status.stderr
    for words in (("up", "--name", "t", "--storage-only"), ("env", "t"), ("run", "--on", "t", "--", "true")):
        refused = offload(*words, timeout=SECONDS)
        assert refused.returncode
        assert b"runs in another container of this machine" in refused.stderr, words
    with pytest.raises(OffloadError, match="another container"):
        connect.connect(place, "storage")
    assert _left(place) == before  # nobody was started, nobody ended
    assert offload("down", "t", timeout=SECONDS).returncode == 0
    eventually(lambda: not _left(place))
    assert not os.path.exists(place.path)


@pytest.mark.real
def test_one_whose_container_has_gone_is_dead(in_container: Started, home: Path) -> None:
    place = in_container("--net")
    members = _left(place)
    init = psutil.Process(next(iter(members))).parent()
    while init is not None and init.name() != "unshare":
        init = init.parent()
    assert init is not None
    init.kill()  # and with it all that is in there, at once
    assert wait_until_gone(members, SECONDS) == {}
    assert launch.state(place) == "dead"
    _, started = launch.up(Registry(str(home)), Spec(name="t", storage_only=True), print)
    assert started
    launch.down(Registry(str(home)), place, print)


def _left(place: Place) -> dict[int, str]:
    """Return the processes of a deployment, whatever container they are in, by their ids here (id: start time)."""
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        if place.path in (process.info["cmdline"] or []) and (since := liveness.started(process.pid)):
            found[process.pid] = since
    return found
