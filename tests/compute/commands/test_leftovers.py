"""Scratch directories that killed runs leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from offload.commands.running import stale_scratch
from offload.commands.running.scratch import Scratch
from offload.errors import UsageError


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale_scratch, "_JUST_MADE", -1.0)


def test_what_is_in_use_is_left_alone(tmp_path: Path) -> None:
    one = Scratch(str(tmp_path))
    assert os.path.isdir(one.path)
    other = Scratch(str(tmp_path))
    assert os.path.isdir(other.path)
    assert os.path.isdir(one.path)
    one.remove()
    other.remove()
    assert os.listdir(tmp_path) == []


def test_what_a_killed_run_leaves_is_removed_by_the_next(tmp_path: Path, home: Path, command: Path) -> None:
    started = tmp_path / "started"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    run = subprocess.Popen(
        [command, "run", "--no-detect", "--scratch", scratch, "--", "sh", "-c", f"echo $$ > {started}; exec sleep 60"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not started.exists() or not started.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (left,) = scratch.iterdir()
    command_pid = int(started.read_text())
    run.kill()
    run.wait()
    while psutil.pid_exists(command_pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (scratch / "offload-other").mkdir()  # without a lock: not one of ours
    made = Scratch(str(scratch))
    assert os.path.isdir(made.path)
    assert not left.exists()
    assert (scratch / "offload-other").exists()
    made.remove()


def test_sweeping_an_unreadable_place_is_told_as_any_other(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot make a scratch directory"):
        assert Scratch(str(tmp_path / "missing")).path


MADE = """
import sys
from offload.commands.running import stale_scratch
made = stale_scratch.temporary(sys.argv[1])
print(made.name, flush=True)
sys.stdin.read()
"""


def test_what_a_killed_worker_or_head_leaves_is_removed_by_the_next(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MADE, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        left = other.stdout.readline().strip()
        with stale_scratch.temporary(str(tmp_path)) as mine:
            assert sorted(os.listdir(tmp_path)) == sorted(map(os.path.basename, (left, mine)))  # both are in use
            other.kill()
            other.wait()
            stale_scratch.sweep(str(tmp_path))
            assert os.listdir(tmp_path) == [os.path.basename(mine)]
    assert os.listdir(tmp_path) == []
