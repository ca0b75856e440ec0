"""Whether a process that was met before still runs."""

from __future__ import annotations

import functools

import psutil


def started(pid: int) -> str | None:
    """Return when a process was started; None when it has ended (also while it is a zombie).

    It names the boot of the machine, too, and is exact: Unix time would move when the clock is set.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The program's name stands in parentheses, and may itself hold spaces and parentheses.
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return _started_elsewhere(pid) if not _boot() else None
    return None if fields[0] in (b"Z", b"X") else f"{fields[19].decode()} after boot {_boot()}"


def is_alive(pid: int, since: str) -> bool:
    """Tell whether the process that was started then still runs; a later one with the same id is another."""
    return started(pid) == since


@functools.cache
def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _started_elsewhere(pid: int) -> str | None:
    """Do it where there is no ``/proc`` of Linux."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time()}"
    except psutil.NoSuchProcess:
        return None
