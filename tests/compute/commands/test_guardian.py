"""The guardian kills what a killed process was running, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from offload.commands.running.session_members import is_alive
from offload.util.liveness import started

pytestmark = pytest.mark.real

PROGRAM = """
import os, subprocess, sys, time
from offload.commands.running.reaper import guardian
def group():
    child = subprocess.Popen(["sh", "-c", "sleep 1000 & sleep 1000"], start_new_session=True)
    guardian.watch(child.pid)
    return child.pid
kept, forgotten = group(), group()
guardian.forget(forgotten)
if sys.argv[1] == "lost":
    os.kill(guardian._pid, 9)
    time.sleep(0.2)
    third = group()
else:
    third = group()
if os.fork() == 0:
    os.closerange(0, 3)
    time.sleep(5)  # holds nothing of the guardian's
    os._exit(0)
print(kept, forgotten, third, guardian._pid, flush=True)
time.sleep(1000)
"""


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("guardian", ["kept", "lost"])
def test_groups_end_with_the_process_that_is_killed(guardian: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, guardian], stdout=subprocess.PIPE)
    assert process.stdout is not None
    kept, forgotten, third, pid = map(int, process.stdout.readline().split())
    try:
        process.kill()
        process.wait()
        process.stdout.close()
        eventually(lambda: started(pid) is None)
        eventually(lambda: started(kept) is None and started(third) is None)
        assert started(forgotten) is not None
    finally:
        os.killpg(forgotten, signal.SIGKILL)
    eventually(lambda: not is_alive(kept) and not is_alive(third))
