"""Ending processes, and finding programs."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from offload.commands.planning.programs import CommandNotFoundError, NotExecutableError, resolve, search_path
from offload.commands.running.session import end_group, exit_code
from offload.commands.running.session_members import is_alive

Process = subprocess.Popen[bytes]
STEPS = ((signal.SIGINT, 0.2), (signal.SIGTERM, 0.2), (signal.SIGKILL, 10.0))


@pytest.fixture
def started() -> Iterator[list[Process]]:
    processes: list[Process] = []
    yield processes
    for process in processes:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def start(started: list[Process], text: str) -> Process:
    """Start a shell as the leader of a group, and wait for its first line."""
    process = subprocess.Popen(["sh", "-c", text], stdout=subprocess.PIPE, start_new_session=True)
    started.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize(
    ("traps", "end"),
    [
        ("", signal.SIGINT),
        ("trap '' INT;", signal.SIGTERM),
        ("trap '' INT TERM;", signal.SIGKILL),
    ],
)
def test_each_step_is_harder(started: list[Process], traps: str, end: signal.Signals) -> None:
    process = start(started, f"{traps} echo ready; while :; do sleep 0.02; done")
    assert is_alive(process.pid)
    end_group(process, STEPS)
    assert process.returncode == -end
    assert not is_alive(process.pid)


def test_what_the_leader_left_is_ended_too(started: list[Process]) -> None:
    process = start(started, "(trap '' INT; while :; do sleep 0.02; done) & echo ready")
    process.wait()
    assert is_alive(process.pid)
    end_group(process, STEPS)
    assert not is_alive(process.pid)


def test_a_group_that_has_ended(started: list[Process]) -> None:
    process = start(started, "echo ready")
    process.wait()
    assert not is_alive(process.pid)
    end_group(process, STEPS)
    assert process.returncode == 0


def test_exit_codes() -> None:
    assert [exit_code(code) for code in (0, 3, -9)] == [0, 3, 137]


def test_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, mode in (("bin/tool", 0o755), ("bin/plain", 0o644), ("later/plain", 0o755), ("here", 0o755)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(mode)
    (tmp_path / "bin" / "directory").mkdir()
    monkeypatch.setenv("PATH", f"::bin:{tmp_path}/missing:{tmp_path}/bin")
    assert resolve("tool") == f"{tmp_path}/bin/tool"
    assert resolve("./here") == "./here"
    with pytest.raises(NotExecutableError, match="bin/plain is not executable"):
        resolve("plain")
    for name in ("directory", "missing", "./missing"):
        with pytest.raises(CommandNotFoundError, match="command not found"):
            resolve(name)
    with pytest.raises(CommandNotFoundError) as caught:
        resolve("here")
    assert caught.value.hint == "a file of that name is here: ./here"
    monkeypatch.setenv("PATH", f".:{tmp_path}/bin")
    assert resolve("here") == f"{tmp_path}/here"
    monkeypatch.setenv("PATH", "bin:/usr/bin::../x:.")
    assert search_path() == f"{tmp_path}/bin:/usr/bin::{tmp_path.parent}/x:.:{tmp_path}"
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{tmp_path}/later")
    assert resolve("plain") == f"{tmp_path}/later/plain"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sort a | head", "a shell understands it: offload run -- sh -c 'sort a | head'"),
        ("cd", "cd is a part of the shell: offload run -- sh -c 'cd ...'"),
        ("own", "functions and aliases of your shell are known to it alone: write what it does, or a script"),
    ],
)
def test_what_only_a_shell_knows(name: str, hint: str) -> None:
    with pytest.raises(CommandNotFoundError) as caught:
        resolve(name)
    assert caught.value.hint == hint
