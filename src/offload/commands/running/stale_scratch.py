"""Temporary directories of what was killed: told from those in use by a lock, and removed by who comes next.

A lock, and not a process id, because two containers may share the directory and not each other's processes.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import tempfile

PREFIX = "offload-"
_LOCK = "lock"
_JUST_MADE = 60.0  # seconds in which a directory may have no lock yet


def hold(directory: str) -> int:
    """Lock a scratch directory for as long as this process lives; return the descriptor that holds the lock."""
    descriptor = os.open(os.path.join(directory, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _lock(descriptor)
    return descriptor


def abandoned(parent: str) -> list[str]:
    """Return the scratch directories below `parent` that are this user's and that nobody holds any more."""
    found = []
    with os.scandir(parent) as listing:
        entries = [entry for entry in listing if entry.name.startswith(PREFIX)]
    for entry in entries:
        try:
            status = entry.stat(follow_symlinks=False)
            own = entry.is_dir(follow_symlinks=False) and status.st_uid == os.getuid()
            if own and time.time() - status.st_mtime > _JUST_MADE and _is_free(entry.path):
                found.append(entry.path)
        except FileNotFoundError:
            continue  # removed meanwhile by its owner, or by another run
    return found


def temporary(parent: str | None = None) -> tempfile.TemporaryDirectory[str]:
    """Return a temporary directory of this process, held until it ends, and remove those of processes that were killed.

    Parameters
    ----------
    parent : str, optional
        Where to make it; default ``$TMPDIR``, else ``/tmp``.
    """
    import tempfile

    sweep(parent or tempfile.gettempdir())
    made = tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent, ignore_cleanup_errors=True)
    hold(made.name)
    return made


def sweep(parent: str) -> None:
    """Remove what processes of this user that were killed have left in a directory."""
    import shutil

    for left in abandoned(parent):
        shutil.rmtree(left, ignore_errors=True)


def _is_free(directory: str) -> bool:
    try:
        descriptor = os.open(os.path.join(directory, _LOCK), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False  # not one of ours
    try:
        return _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody has it; or a file system without locks, where nothing is swept
        return False
    return True
