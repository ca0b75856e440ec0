"""One at a time: who brings a deployment up or down, and who runs it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator

from offload.errors import OffloadError
from offload.registry.deployments import Place
from offload.util.filesystems import translated

INTERVAL = 0.1
LOOKS_SECONDS = 1.0
"""Seconds for which the lock of a place may be taken by those who only look whether it is."""


@contextlib.contextmanager
def alone(
    path: str, seconds: float, waiting: Callable[[], object], what: str = "bringing it up or down"
) -> Iterator[None]:
    """Hold a lock, which also ends with the process. No file of it is left.

    Parameters
    ----------
    path : str
        The file that stands for it.
    seconds : float
        How long to wait for somebody else.
    waiting : callable
        Called once where there is somebody else.
    what : str
        What whoever holds it does.

    Raises
    ------
    OffloadError
        If somebody else has it for too long.
    """
    deadline, told = time.monotonic() + seconds, False
    while (descriptor := _taken(path)) is None:
        if time.monotonic() > deadline:
            raise OffloadError(f"somebody else has been {what} for {seconds:.0f} s", f"{path} shows who: lsof, fuser")
        if not told:
            waiting()
            told = True
        time.sleep(INTERVAL)
    try:
        yield
    finally:
        os.unlink(path)  # whoever has opened it meanwhile sees that it is another one
        os.close(descriptor)


def settle(place: Place, seconds: float = LOOKS_SECONDS) -> bool:
    """Be the one process that runs a deployment, or keeps the connection to it, until this process ends.

    Parameters
    ----------
    place : Place
        The deployment's. That an earlier one was told to end is forgotten.
    seconds : float
        How long to wait for somebody else.

    Returns
    -------
    bool
        Whether it is; False where there is somebody else for so long.
    """
    descriptor = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # open until the process ends
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                return False
        time.sleep(INTERVAL)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(place.end)
    return True


def _taken(path: str) -> int | None:
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise translated(exc, path) from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
