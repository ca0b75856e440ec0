"""What marks an environment, and what can go wrong with a disk here, as an answer."""

from __future__ import annotations

import errno
import os
from typing import Any

MARK, USED = "environment.json", "used"
"""Files of an environment: the one is there when it is complete, the other was changed when it was last used."""

FULL = (errno.ENOSPC, errno.EDQUOT)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def trouble(error: OSError, home: str) -> dict[str, Any]:
    """Return what an error means: the disk is full, the place cannot be written, or something else."""
    path = os.fsdecode(error.filename) if error.filename else home
    kind = "full" if error.errno in FULL else "denied" if error.errno in DENIED else "other"
    return {"kind": kind, "path": path, "reason": os.strerror(error.errno) if error.errno else str(error)}


def free(path: str) -> int:
    """Return how many bytes can still be written at a path that need not exist."""
    while not os.path.isdir(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
