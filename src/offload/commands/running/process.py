"""The process of a command, which tells at its end what it used."""

from __future__ import annotations

import os
import threading

from offload.records.usage import of_rusage


class Process:
    """A child of this process; several threads may wait for it.

    Parameters
    ----------
    pid : int
        Its number. It is waited for here alone.

    Attributes
    ----------
    returncode : int or None
        Its exit code, -N where signal N has ended it; None while it runs.
    cpu_seconds, peak_memory_bytes : float, int or None
        What it used, with the children that it waited for; None while it runs.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.cpu_seconds: float | None = None
        self.peak_memory_bytes: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return how it has ended; None while it runs."""
        with self._lock:
            if self.returncode is None:
                pid, status, usage = os.wait4(self.pid, os.WNOHANG)
                if pid:
                    self.cpu_seconds, self.peak_memory_bytes = of_rusage(usage)
                    self.returncode = os.waitstatus_to_exitcode(status)
            return self.returncode

    def wait(self) -> int:
        """Wait until it has ended; return how."""
        while (code := self.poll()) is None:
            try:
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:  # another thread has just been told
                continue
        return code
