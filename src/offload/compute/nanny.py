"""The nanny of offload's workers: Dask's, that also tells how the process of its worker is, and ends a frozen one."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

import distributed
import psutil

STOPPED, DISK = "stopped", "disk"
"""How a process is that has been stopped, as by a debugger; and one that waits for a disk or a file system."""


def look(pid: int | None) -> dict[str, Any]:
    """Return how a process is: ``state``, which is `STOPPED`, `DISK`, ``"gone"`` or ``""``; and ``cpu``, in seconds."""
    try:
        process = psutil.Process(pid or -1)
        status, times = process.status(), process.cpu_times()
    except (psutil.NoSuchProcess, ValueError):
        return {"state": "gone", "cpu": 0.0}
    if status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP):
        state = STOPPED
    else:
        state = DISK if "D" in _threads(process.pid) or status == psutil.STATUS_DISK_SLEEP else ""
    return {"state": state, "cpu": times.user + times.system}


def _threads(pid: int) -> str:
    """Return the states of all threads of a process, a letter each, where the system tells them."""
    states = ""
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/stat", encoding="utf-8") as file:
                states += file.read().rpartition(")")[2].split()[0]
    return states


class WatchingNanny(distributed.Nanny):
    """A nanny that can be asked after the process of its worker."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.handlers["end_frozen"] = self.end_frozen

    def identity(self) -> dict[str, Any]:
        """Return what is known of it, and how the process of its worker is."""
        return {**super().identity(), "worker": look(self.pid)}

    def end_frozen(self) -> None:
        """End a worker that cannot end by itself any more; another one comes in its place."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
