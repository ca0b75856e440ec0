"""What a command writes: in memory while it is little, in a file beyond."""

from __future__ import annotations

import contextlib
import os

IN_MEMORY = 64 * 1024
"""Bytes of output that are sent to the parent; what is more stays in a file."""


class Written:
    """What a command has written to one of its pipes.

    Parameters
    ----------
    path : str
        Of the file.
    """

    __slots__ = ("_file", "_path", "_pieces", "_size")

    def __init__(self, path: str) -> None:
        self._path = path
        self._pieces: list[bytes] = []
        self._size = 0
        self._file = -1

    def add(self, data: bytes) -> None:
        """Take more."""
        self._pieces.append(data)
        self._size += len(data)
        if self._file < 0 and self._size > IN_MEMORY:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            whole = memoryview(b"".join(self._pieces))
            self._pieces.clear()
            while whole:
                whole = whole[os.write(self._file, whole) :]

    def end(self) -> bytes | str:
        """Return it, or where it is."""
        if self._file < 0:
            return b"".join(self._pieces)
        os.close(self._file)
        return self._path

    def drop(self) -> None:
        """Let go of it."""
        if self._file >= 0:
            os.close(self._file)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
