"""What nobody has used for long is removed: environments, wheels, and what interrupted builds have left."""

from __future__ import annotations

import glob
import os
import shutil
import time

from offload.environments.payload.disk import USED

UNUSED_DAYS, PARTIAL_DAYS = 60, 1


def remove_unused(home: str, keep: str) -> list[str]:
    """Remove what was not used for `UNUSED_DAYS`, nor is by a process here; return the names of environments."""
    now = time.time()
    removed = []
    for entry in sorted(os.listdir(home)):
        place = os.path.join(home, entry)
        used = os.path.join(place, USED)
        if entry.endswith(".partial") and entry.startswith("."):
            if _age(place, now) > PARTIAL_DAYS:
                shutil.rmtree(place, ignore_errors=True)
        elif entry != keep and os.path.isfile(used) and _age(used, now) > UNUSED_DAYS and not _is_running(place):
            # Renamed first: half of an environment never stands at its place.
            gone = os.path.join(home, f".{entry}.{os.getpid()}.partial")
            os.rename(place, gone)
            shutil.rmtree(gone, ignore_errors=True)
            lock = os.path.join(home, f".{entry}.lock")
            if os.path.exists(lock):
                os.unlink(lock)
            removed.append(entry)
    for path in [
        *glob.glob(os.path.join(home, "wheels", "*.whl")),
        *glob.glob(os.path.join(home, "wheels", ".*.whl.*")),
    ]:
        if _age(path, now) > (UNUSED_DAYS if path.endswith(".whl") else PARTIAL_DAYS):
            os.unlink(path)
    return removed


def _age(path: str, now: float) -> float:
    """Return the days since something was changed; none where it has just gone."""
    try:
        return (now - os.stat(path).st_mtime) / 86400
    except FileNotFoundError:
        return 0.0


def _is_running(place: str) -> bool:
    """Tell whether a process of this machine was started with the Python of an environment."""
    mark = os.fsencode(os.path.join(place, "bin", ""))
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                if mark in file.read():
                    return True
        except OSError:
            continue  # it has ended, or belongs to somebody else
    return False
