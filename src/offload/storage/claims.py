"""Claims: which transformations are being computed now, by processes of this machine that share a database.

A claim is a lock on one byte of a file beside the database. The system lets go of it when its process ends, however
that ends. A claim only saves work: where none can be had, everybody computes.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

_DIGITS = 15  # of a checksum: 60 bits, which an offset into a file can hold
_FLOCK = "hhqqi"  # struct flock of Linux: type, whence, start, length, process
_HELD = (errno.EACCES, errno.EAGAIN)

UNKNOWN = 0
"""The holder's process id where the system does not tell it."""


class Claims:
    """The claims beside one database.

    Locks belong to processes, so that there is one of these for each file in a process (`claims_at`).

    Parameters
    ----------
    path : str
        The file, made when the first claim is taken.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()

    def take(self, transformation: str) -> bool:
        """Claim a transformation, unless another process or thread has claimed it.

        Returns
        -------
        bool
            Whether it is this caller's until `release`. True also where claims cannot be had here.
        """
        with self._lock:
            if transformation in self._held:
                return False
            fcntl, file = self._file()
            if fcntl is not None:
                try:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(transformation))
                except OSError as error:
                    if error.errno in _HELD:
                        return False
            self._held[transformation] = threading.get_native_id()
            return True

    def release(self, transformation: str) -> None:
        """End a claim that `take` gave."""
        with self._lock:
            self._held.pop(transformation, None)
            fcntl, file = self._file()
            if fcntl is not None:
                try:
                    fcntl.lockf(file, fcntl.LOCK_UN, 1, _byte(transformation))
                except OSError as error:
                    # Where a file system has no locks, there was none to take either.
                    if error.errno not in (errno.ENOLCK, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
                        raise

    def holder(self, transformation: str) -> int | None:
        """Return the id of the process that has claimed a transformation; None when nobody has."""
        with self._lock:
            if transformation in self._held:
                return os.getpid()
            fcntl, file = self._file()
            if fcntl is None:
                return None
            if sys.platform != "linux":  # elsewhere the structure has another order
                try:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(transformation))
                    fcntl.lockf(file, fcntl.LOCK_UN, 1, _byte(transformation))
                except OSError as error:
                    return UNKNOWN if error.errno in _HELD else None
                return None
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _byte(transformation), 1, 0)
            try:
                kind, _, _, _, process = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
            except OSError:
                return None
            return None if kind == fcntl.F_UNLCK else max(process, UNKNOWN)

    def thread(self, transformation: str) -> int | None:
        """Return the system's id of the thread of this process that has claimed a transformation, or None."""
        with self._lock:
            return self._held.get(transformation)

    def rest(self) -> None:
        """Close the file while nothing is claimed: an open file keeps its file system from being taken away."""
        with self._lock:
            if not self._held and self._descriptor is not None:
                if self._descriptor >= 0:
                    os.close(self._descriptor)
                self._descriptor = None

    def forget(self) -> None:
        """Begin anew in a child of this process, to which no lock of its parent belongs."""
        self._held = {}
        self._lock = threading.Lock()

    def _file(self) -> tuple[ModuleType | None, int]:
        """Return the module that locks, and the open file; None where the file cannot be had."""
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError:
                self._descriptor = -1
        if self._descriptor < 0:
            return None, -1
        import fcntl

        return fcntl, self._descriptor


def _byte(transformation: str) -> int:
    return int(transformation[:_DIGITS], 16)


_open: dict[str, Claims] = {}
_opening = threading.Lock()


def claims_at(path: str) -> Claims:
    """Return the claims that are kept in a file.

    The file stays open: closing it anywhere in a process ends all locks that the process has on it.
    """
    with _opening:
        claims = _open.get(path)
        if claims is None:
            claims = _open[path] = Claims(path)
        return claims


def _in_child() -> None:
    global _opening
    _opening = threading.Lock()
    for claims in _open.values():
        claims.forget()


os.register_at_fork(after_in_child=_in_child)
