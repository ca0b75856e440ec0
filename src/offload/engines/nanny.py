"""The nanny of offload's workers: Dask's, that also tells how the process of its worker is, and ends a frozen one."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from typing import Any

import distributed
import psutil
from distributed.core import Status

from offload.engines.worker_deaths import TOPIC
from offload.util.exit_status import described

logger = logging.getLogger("distributed.nanny")

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
        self.failure: BaseException | None = None
        self._frozen = False
        self._over: tuple[int, int] = (0, 0)

    def identity(self) -> dict[str, Any]:
        """Return what is known of it, and how the process of its worker is."""
        return {**super().identity(), "worker": look(self.pid)}

    def end_frozen(self) -> None:
        """End a worker that cannot end by itself any more; another one comes in its place."""
        if self.pid:
            self._frozen = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def log_event(self, topic: Any, msg: Any) -> None:
        """Log an event; one of them says that the worker has used too much memory, and is ended."""
        if topic == "worker-restart-memory":
            self._over = msg["pid"], msg["rss"]
        super().log_event(topic, msg)  # type: ignore[no-untyped-call]

    async def _on_worker_exit(self, exitcode: int) -> None:
        """Tell why the worker has ended unasked, and have another one start."""
        if self.status is Status.running:
            process, used = self.process, self._over[1] or None
            frozen, self._frozen, self._over = self._frozen, False, (0, 0)
            why = "was frozen" if frozen else described(exitcode, used, self.memory_manager.memory_limit)
            logger.warning("%s %s", self.name, why)
            address = process.worker_address if process is not None else None
            super().log_event(TOPIC, {"worker": address or "", "name": str(self.name), "why": why})  # type: ignore[no-untyped-call]
        await super()._on_worker_exit(exitcode)

    async def instantiate(self) -> Status:
        """Start a worker; where another one cannot follow, end, so that whoever keeps this up knows."""
        was = self.status
        try:
            return await super().instantiate()
        except Exception as exc:
            if was is Status.running:
                self.failure = exc
                await self.close(reason="no-other-worker")
            raise
