"""The command line with one deployment for all tests of a module."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from offload.registry.deployments import Place, Registry

SECONDS = 120.0
NAME = "demo"

Process = subprocess.Popen[bytes]
_WAITING = re.compile(rb"offload: (job \d+: |the job service of)")


class Deployed:
    """Runs the installed command with a home in which a deployment is up and active.

    Parameters
    ----------
    command : Path
        The installed command.
    home : Path
        The home.
    """

    def __init__(self, command: Path, home: Path) -> None:
        self.command = command
        self.environment = {**os.environ, "OFFLOAD_HOME": str(home), "OFFLOAD_DEPLOYMENT": NAME}
        self.place: Place = Registry(str(home)).place(NAME)
        self._started: list[Process] = []

    def __call__(
        self,
        *words: str | os.PathLike[str],
        input: bytes | None = None,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command line to its end."""
        return subprocess.run(
            [self.command, *words],
            stdin=subprocess.DEVNULL if input is None else None,
            input=input,
            capture_output=True,
            cwd=cwd,
            env={**self.environment, **(env or {})},
            timeout=SECONDS,
            check=False,
        )

    def start(self, *words: str | os.PathLike[str], stdin: int = subprocess.DEVNULL) -> Process:
        """Start a command line; it is ended after the test if it has not ended by then."""
        process = subprocess.Popen(
            [self.command, *words],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            bufsize=0,
        )
        self._started.append(process)
        return process

    def tidy(self) -> None:
        """End what a test has started, here and on the deployment."""
        for process in self._started:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        self._started.clear()
        self("cancel", "--all")
        eventually(lambda: self("jobs", "--json").stdout.strip() == b"[]")


def eventually(what: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until `what` gives something true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def line(process: Process) -> bytes:
    """Return the next line that a process writes to stdout."""
    assert process.stdout is not None
    found = bytearray()
    while not found.endswith(b"\n"):
        piece = process.stdout.read(1)
        assert piece, f"it ended with {bytes(found)!r}"
        found += piece
    return bytes(found).strip()


def told(process: Process) -> bytes:
    """Return what a process has written to stderr until its end, but for what it waited for on a busy machine."""
    assert process.stderr is not None
    return impatient(process.stderr.read())


def impatient(stderr: bytes) -> bytes:
    """Return what was written to stderr without the lines that say what is waited for."""
    return b"".join(line for line in stderr.splitlines(True) if not _WAITING.match(line))


def is_alive(pid: int) -> bool:
    """Return whether a process runs."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
