"""Whether a process that was met before still runs."""

from __future__ import annotations

import psutil


def started(pid: int) -> float | None:
    """Return when a process was started, in Unix seconds; None when it has ended (also while it is a zombie)."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def is_alive(pid: int, since: float) -> bool:
    """Tell whether the process that was started then still runs; a later one with the same id is another."""
    now = started(pid)
    return now is not None and abs(now - since) < 1.0
