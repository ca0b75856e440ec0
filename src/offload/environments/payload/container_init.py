"""The first process of a container: keeps it as long as anything else runs in it, and for a while afterwards."""

from __future__ import annotations

import os
import sys
import time

CALM, INTERVAL = 60.0, 0.5
"""Seconds for which the container waits for the next use, and between two looks."""


def inside(known: int) -> int:
    """Return a process that sees the files of this container, the one that is known where it still does; 0 for none."""
    own = os.readlink("/proc/self/ns/mnt")
    for pid in (known, *_pids()):
        try:
            if pid not in (0, os.getpid()) and os.readlink(f"/proc/{pid}/ns/mnt") == own:
                return pid
        except OSError:
            continue  # it has ended, or is somebody else's
    return 0


def is_used(name: str) -> bool:
    """Tell whether a program of the engine is about to begin something in this container, or to tidy up after it.

    An engine may not remove a container that ends before it has done so.
    """
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        watches = words[0].endswith(b"conmon") and b"--exec-process-spec" not in words  # over the container itself
        if pid != os.getpid() and name.encode() in words and not watches:
            return True
    return False


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def unused(directory: str) -> float:
    """Return for how many seconds nobody has asked for the container; for ever, where its deployment is gone."""
    try:
        return time.time() - os.stat(os.path.join(directory, "used")).st_mtime
    except OSError:
        return float("inf")


def main(directory: str, name: str) -> None:
    """Return when the container of a name is not needed any more."""
    known = 0
    while unused(directory) < CALM or (known := inside(known)) or is_used(name):
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main(*sys.argv[1:])
