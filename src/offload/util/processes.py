"""Processes that outlive the one that starts them, known by id and start time."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence

import psutil

from offload.util.liveness import is_alive, shares_ids, started

INTERVAL = 0.05

LOOKED_AT, LONGEST = 100, 500
"""Lines of a log in which last words are looked for, and characters of these."""

TRACEBACK = "Traceback (most recent call last)"
STAMP = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ +(- [\w.]+ - [A-Z]+ - +)?")  # of Dask, and of offload itself
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:")  # begins each line of a log that is no part of another


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of offload's modules with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def start_detached(command: Sequence[str], log: str, environment: dict[str, str] | None = None) -> int:
    """Start a process that goes on when this one ends, with all its output in a log; return its id."""
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            cwd="/",
        )
    # Nobody waits for it here; it is not to be reported as a forgotten child either.
    process.returncode = 0
    return process.pid


def wait_until_gone(processes: dict[int, str], seconds: float) -> dict[int, str]:
    """Wait for processes (id: start time) to end, and return those that have not."""
    deadline = time.monotonic() + seconds
    while left := {pid: since for pid, since in processes.items() if is_alive(pid, since)}:
        if time.monotonic() > deadline:
            return left
        time.sleep(INTERVAL)
    return {}


def family(pid: int) -> dict[int, str]:
    """Return a process and all that descend from it (id: start time)."""
    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return {}
    return _identified(process.pid for process in members)


def of_place(path: str, module: str = "offload.deploy.") -> dict[int, str]:
    """Return the processes that work for the deployment in a directory, by their command lines (id: start time).

    Those of another container are not among them: there, the path may be that of another directory.
    """
    return _identified(
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if path in (words := process.info["cmdline"] or [])
        and any(w.startswith(module) for w in words)
        and shares_ids(process.pid)
    )


def _identified(pids: Iterable[int]) -> dict[int, str]:
    return {pid: since for pid in pids if (since := started(pid)) is not None}


def kill(processes: dict[int, str], signal: int) -> None:
    """Send a signal to those processes that still are what they were."""
    for pid, since in processes.items():
        if is_alive(pid, since):
            try:
                os.kill(pid, signal)
            except ProcessLookupError:
                continue


def last_words(path: str) -> str:
    """Return the last line of a log, without the time; where it ends with a traceback, all lines of the error."""
    lines = tail(path, LOOKED_AT).splitlines()
    begin = max((number for number, line in enumerate(lines) if line.startswith(TRACEBACK)), default=None)
    if begin is not None:
        error = list(itertools.dropwhile(lambda line: line.startswith(" "), lines[begin + 1 :]))
        if error and not any(TIME.match(line) for line in error):
            return " ".join(" ".join(error).split())[:LONGEST]
    return STAMP.sub("", lines[-1]) if lines else ""


def tail(path: str, lines: int = 5) -> str:
    """Return the last lines of a log, or nothing where there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16384))
            return b"\n".join(file.read().splitlines()[-lines:]).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
