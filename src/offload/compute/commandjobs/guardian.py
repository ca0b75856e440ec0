"""A small process beside a worker that ends the worker's commands when the worker cannot.

A worker that is killed takes nobody along: what it was running would go on, unseen, beside its second run elsewhere.
So each worker process has a guardian, in a session of its own, that is told over a pipe which process groups there are.
When the pipe ends, the worker has, and the guardian kills those groups that are left.

The guardian runs this file by itself (``python -I -S guardian.py``): nothing of offload is imported there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import Popen


class Guardian:
    """Tells a guardian process, started when it is first needed, which process groups it has to look after."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._process: Popen[bytes] | None = None
        self._owner = 0

    def watch(self, group: int) -> None:
        """Have a process group ended should this process be killed."""
        with self._lock:
            self._groups.add(group)
            self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """Leave alone a process group that has ended: its number may soon be somebody else's."""
        with self._lock:
            self._groups.discard(group)
            self._tell(f"-{group}\n")

    def close(self) -> None:
        """End the guardian, and with it the groups that it looks after."""
        with self._lock:
            process, self._process = self._process, None
            self._groups.clear()
            if process is not None and process.stdin is not None and self._owner == os.getpid():
                process.stdin.close()
                process.wait()

    def _tell(self, line: str) -> None:
        if self._process is not None and self._owner == os.getpid():
            try:
                self._write(line)
                return
            except BrokenPipeError:  # somebody has ended it; the next one has to know all
                self._process.wait()
        self._start()
        self._write("".join(f"+{group}\n" for group in self._groups))

    def _write(self, text: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        os.write(self._process.stdin.fileno(), text.encode())

    def _start(self) -> None:
        import subprocess

        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", os.path.abspath(__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
        self._owner = os.getpid()

    def let_go(self) -> None:
        """In a forked child: hold the pipe no longer, or its end would not be seen."""
        self._lock = threading.Lock()
        self._groups = set()
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.returncode = 0  # it is not this process's child


def guard() -> None:
    """Look after groups until standard input ends, then kill those that are left."""
    # A terminal, or who ends a whole service, may send these to everybody.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    left = b""
    while data := os.read(0, 65536):
        *lines, left = (left + data).split(b"\n")
        for line in lines:
            group = int(line[1:])
            if line.startswith(b"+"):
                groups.add(group)
            else:
                groups.discard(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    guard()
else:
    guardian = Guardian()
    os.register_at_fork(after_in_child=guardian.let_go)
