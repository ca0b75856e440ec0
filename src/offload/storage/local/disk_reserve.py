"""A little room on the disk of a store, which is let go of when there is none left: even removing needs some."""

from __future__ import annotations

import os

LEAST, MOST = 256 * 1024, 16 * 1024 * 1024
"""Bytes: of SQLite's memory maps and a small transaction; of the longest log that has to be written back first."""

ENOUGH = 64 * 1024 * 1024
"""Free bytes with which nothing need be spared."""

_EVERY = 100  # times that it is asked for until the size is looked at again


class Reserve:
    """A file of no content that matters.

    Parameters
    ----------
    path : str
        The file.
    beside : str
        The SQLite file that it is for; the room it needs grows with that.
    """

    def __init__(self, path: str, beside: str) -> None:
        self._path = path
        self._beside = beside
        self._asked = 0

    def keep(self) -> None:
        """Make the file where it is not there, and longer where it is too short; seldom looked at.

        It is not made where that would take the last room, and nobody is told where it cannot be made: it only makes
        things easier some day.
        """
        self._asked += 1
        if self._asked % _EVERY != 1:
            return
        try:
            size = min(max(_size(self._beside) // 4, LEAST), MOST) - _size(self._path)
            if size <= 0 or self.free() < 2 * size:
                return
            with open(self._path, "ab", buffering=0, opener=_private) as file:
                file.write(os.urandom(size))  # some file systems keep zeros in no room
        except OSError:
            return

    def let_go(self) -> None:
        """Give the room back."""
        self._asked = 0
        try:
            os.unlink(self._path)
        except OSError:
            return  # it was not there, or the disk says what is wrong with it when the store is written

    def is_needed(self) -> bool:
        """Tell whether there is so little room that it has to be spared."""
        try:
            return self.free() < ENOUGH
        except FileNotFoundError:  # there is nothing yet
            return False

    def free(self) -> int:
        """Give the free bytes of the disk."""
        room = os.statvfs(os.path.dirname(self._path))
        return room.f_bavail * room.f_frsize


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
