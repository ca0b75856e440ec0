from __future__ import annotations

import os
import subprocess
import sys

import pytest

from offload.storage.local import leases
from offload.storage.local.leases import may_live, this_process


def test_this_process_lives() -> None:
    assert this_process() == this_process()
    assert this_process()[1] == os.getpid()
    assert may_live(*this_process())


def test_a_process_that_ended_does_not() -> None:
    program = "from offload.storage.local.leases import this_process; print(*this_process(), sep='|')"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    host, pid, started = ended.stdout.strip().split("|")
    assert host == this_process()[0]
    assert started > ""
    assert not may_live(host, int(pid), started)
    assert not may_live(host, int(pid), "")


def test_a_zombie_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert leases._started(child.pid) is None
    child.wait()
    child.stdout.close()


def test_nothing_is_known_of_other_hosts() -> None:
    assert may_live("elsewhere", 1, "1")


def test_a_process_that_came_later_under_the_same_id() -> None:
    host, pid, started = this_process()
    assert not may_live(host, pid, started + "1")


def test_without_a_start_time_the_id_alone_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    host, pid, _ = this_process()
    assert may_live(host, pid, "")

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    assert may_live(host, 1, "")
