"""Files with holes: long runs of zeros are passed over when a file is written, and take no room on the disk."""

from __future__ import annotations

import os

_HOLE = 64 * 1024
_ZEROS = bytes(_HOLE)


class SparseWriter:
    """Writes a file from its beginning to its end.

    Parameters
    ----------
    descriptor : int
        The file, which is open and empty.
    """

    __slots__ = ("_descriptor", "_has_holes")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._has_holes = False

    def write(self, data: bytes) -> None:
        """Write the next bytes, all of them."""
        begin, length = 0, len(data)
        while begin < length:
            end = begin
            while data.startswith(_ZEROS, end):
                end += _HOLE
            if end > begin:
                os.lseek(self._descriptor, end - begin, os.SEEK_CUR)
                self._has_holes = True
                begin = end
            while end < length and not data.startswith(_ZEROS, end):
                end += _HOLE
            view = memoryview(data)[begin:end]
            while view:
                view = view[os.write(self._descriptor, view) :]
            begin = end

    def finish(self) -> None:
        """Give the file its length, should it end with a hole."""
        if self._has_holes:
            os.ftruncate(self._descriptor, os.lseek(self._descriptor, 0, os.SEEK_CUR))
