"""Checksums of this machine's files, remembered as long as the files do not change.

A file is known by device and inode, and has not changed while its size, mtime and ctime (in nanoseconds) are the same.
As in git's index, a checksum is only remembered when the file's times were safely in the past when hashing began: what
is written within the resolution of the file system's clock leaves the same times behind.
"""

from __future__ import annotations

import os
import stat
import sys
import time
import weakref
from hashlib import sha256

from offload.errors import DamagedError, NotFoundError, StorageError
from offload.identity.checksums import BLOCK
from offload.notices import warn
from offload.storage.sqlite.file import SqliteFile
from offload.storage.user_files import open_file
from offload.util.filesystems import on_network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MARGIN = 2.0
"""Seconds by which a file's times must be older than its hashing. The coarsest clock of a file system ticks so."""

NETWORK_MARGIN = 60.0
"""The same for files on network file systems, whose clocks are those of other machines."""

LIMIT = 1_000_000
"""So many files are remembered, those hashed last."""

_ATTEMPTS = 3
_PATIENCE = 5.0  # seconds to wait for others who write to the cache
# Numbers of rows grow, so that they order files by when they were hashed.
_MIGRATIONS = (
    """
    CREATE TABLE file (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        device INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        size INTEGER NOT NULL,
        mtime INTEGER NOT NULL,
        ctime INTEGER NOT NULL,
        checksum TEXT NOT NULL,
        UNIQUE (device, inode)
    );
    """,
)
_FIND = "SELECT checksum FROM file WHERE device = ? AND inode = ? AND size = ? AND mtime = ? AND ctime = ?"
_KEEP = "INSERT OR REPLACE INTO file (device, inode, size, mtime, ctime, checksum) VALUES (?, ?, ?, ?, ?, ?)"
_FORGET = "DELETE FROM file WHERE device = ? AND inode = ?"

Key = tuple[int, int, int, int, int]


def forget(path: str) -> None:
    """Have every cache of this process forget a file that was found to be another one."""
    for files in list(_every):
        files.forget(path)


class FileChecksums:
    """Gives checksums of files; hashes only those that it has not seen in this state.

    Parameters
    ----------
    path : str
        The cache's SQLite file. It may be deleted at any time; one that is damaged is made anew, with a warning.
    limit : int
        Remember at most so many files.
    clock : callable
        Gives the Unix time.
    """

    def __init__(self, path: str, limit: int = LIMIT, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._limit = limit
        self._clock = clock
        self._file = self._opened()
        _every.add(self)

    def _opened(self) -> SqliteFile:
        file = SqliteFile(self._path, _MIGRATIONS, "the file-checksum cache", "files are hashed again")
        file.wait = _PATIENCE
        return file

    def checksum(self, path: str) -> str:
        """Give the checksum of one file; see `checksums`."""
        return self.checksums([path])[0]

    def checksums(self, paths: Sequence[str]) -> list[str]:
        """Give the checksums of files.

        Raises
        ------
        NotFoundError
            A file is missing, cannot be read, or is none.
        StorageError
            A file kept changing while it was read.
        """
        found: list[str] = []
        fresh: list[tuple[int | str, ...]] = []
        margins: dict[int, float] = {}
        mapped = _mapped()
        try:
            states = [_stat(path) for path in paths]
            for path, state, cached in zip(paths, states, self._cached(states), strict=True):
                if cached is not None and state.st_ino not in mapped:
                    found.append(cached)
                    continue
                started = self._clock()
                checksum, status = _hashed(path)
                found.append(checksum)
                if status.st_ino in mapped:
                    continue
                if status.st_dev not in margins:
                    margins[status.st_dev] = NETWORK_MARGIN if on_network(path) else MARGIN
                if max(status.st_mtime, status.st_ctime) < started - margins[status.st_dev]:
                    fresh.append((*_key(status), checksum))
        finally:
            if fresh:
                self._keep(fresh)
        return found

    def entry(self, path: str, status: os.stat_result) -> str | None:
        """Give the checksum of a file in the state that the caller saw, if it is remembered; never hashes."""
        return self._cached([status])[0]

    def forget(self, path: str) -> None:
        """Forget the checksum of a file that was found to be another one."""
        status = _stat(path)
        try:
            with self._file.writing() as connection:
                connection.execute(_FORGET, _key(status)[:2])
        except StorageError:  # as where it cannot be written: then nothing was remembered by this process
            return

    def count(self) -> int:
        """Count the files that are remembered."""
        return int(self._file.query("SELECT count(*) FROM file")[0][0])

    def close(self) -> None:
        """Let go of the cache's file."""
        self._file.close()

    def _cached(self, states: Sequence[os.stat_result]) -> list[str | None]:
        try:
            return self._look_up(states)
        except DamagedError as error:
            self._start_again(error)
            return [None] * len(states)

    def _look_up(self, states: Sequence[os.stat_result]) -> list[str | None]:
        if len(states) == 1:
            rows = self._file.query(_FIND, _key(states[0]))
            return [rows[0][0] if rows else None]
        with self._file.reading() as connection:
            rows = [connection.execute(_FIND, _key(status)).fetchone() for status in states]
        return [row[0] if row else None for row in rows]

    def _keep(self, fresh: Sequence[tuple[int | str, ...]]) -> None:
        try:
            with self._file.writing() as connection:
                connection.executemany(_KEEP, fresh)
                connection.execute("DELETE FROM file WHERE id <= (SELECT max(id) FROM file) - ?", (self._limit,))
        except DamagedError as error:
            self._start_again(error)
        except StorageError:
            # The checksums are right all the same: that they cannot be remembered costs time, no more.
            return

    def _start_again(self, error: StorageError) -> None:
        warn(f"{error.message}; made anew", stacklevel=4)
        self._file.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            try:
                os.unlink(self._path + suffix)
            except FileNotFoundError:
                continue
        self._file = self._opened()


def _mapped() -> set[int]:
    """Return the inodes of files that this process has mapped for writing, as far as the system tells."""
    if "mmap" not in sys.modules:  # nothing in Python has mapped any
        return set()
    try:
        with open("/proc/self/maps", "rb", buffering=0) as maps:
            data = maps.readall()
    except OSError:  # as on macOS
        return set()
    import re

    # Some hundred lines, of which one or two are about such a file.
    return set(map(int, re.findall(rb"^\S+ .w.s \S+ \S+ ([1-9]\d*)", data, re.MULTILINE)))


def _stat(path: str) -> os.stat_result:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}") from None
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise NotFoundError(f"{path} is not a regular file")
    return status


def _key(status: os.stat_result) -> Key:
    # SQLite's integers are signed, inodes are not.
    inode = status.st_ino if status.st_ino < 1 << 63 else status.st_ino - (1 << 64)
    device = status.st_dev if status.st_dev < 1 << 63 else status.st_dev - (1 << 64)
    return device, inode, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _hashed(path: str) -> tuple[str, os.stat_result]:
    """Hash a file that does not change meanwhile, and give its state."""
    for _ in range(_ATTEMPTS):
        with open_file(path) as file:
            before = os.fstat(file.fileno())
            digest = sha256()
            while chunk := file.read(BLOCK):
                digest.update(chunk)
            after = os.fstat(file.fileno())
        if _key(before) == _key(after):
            return digest.hexdigest(), after
    raise StorageError(f"{path} keeps changing while it is read", "wait until nothing writes to it")


_every: weakref.WeakSet[FileChecksums] = weakref.WeakSet()
