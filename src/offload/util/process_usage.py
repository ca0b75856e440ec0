"""How a process is, and how much memory it uses with its children, read from the system many times a second."""

from __future__ import annotations

import os
from contextlib import suppress

_PAGE = os.sysconf("SC_PAGE_SIZE")
STOPPED = "T", "t"
"""The letters of a process that has been stopped."""


def state(pid: int) -> str:
    """Return the letter of the state of a process; "" where the system does not tell, or it is gone."""
    with suppress(OSError, IndexError), open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0].decode()
    return ""


def is_stopped(pid: int) -> bool:
    """Tell whether a process has been stopped, as by a debugger."""
    return state(pid) in STOPPED


def memory(pid: int, most: float = 0.0) -> int:
    """Return how many bytes a process and its children use.

    Parameters
    ----------
    pid : int
        The process.
    most : float
        How many they may use. Where it looks like more, what they share is counted once, which takes longer.
    """
    members = family(pid)
    used = sum(map(memory_of_one, members))
    if used > most > 0 and len(members) > 1:
        return sum(map(_proportional, members))
    return used


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for one in found:  # which grows meanwhile
        found += children(one)
    return found


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:  # it has ended; or the system does not tell so
        if not os.path.exists("/proc/thread-self/children"):
            return _asked_elsewhere(pid)
    return found


def of_session(session: int) -> list[int]:
    """Return the processes of a session that have not ended."""
    found = []
    for name in os.listdir("/proc") if os.path.exists("/proc/self/stat") else ():
        with suppress(OSError, IndexError), open(f"/proc/{int(name) if name.isdigit() else 0}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
            if int(fields[3]) == session and fields[0] not in (b"Z", b"X"):
                found.append(int(name))
    return found


def _asked_elsewhere(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.NoSuchProcess:
        return []


def memory_of_one(pid: int) -> int:
    """Return how many bytes a process uses, without its children."""
    if not os.path.exists("/proc/self/statm"):
        import psutil

        with suppress(psutil.NoSuchProcess):
            return int(psutil.Process(pid).memory_info().rss)
        return 0
    with suppress(OSError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE
    return 0


def _proportional(pid: int) -> int:
    """Return what a process uses, of pages that several share its part."""
    with suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        for line in file:
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return memory_of_one(pid)
