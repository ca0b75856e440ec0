"""Pickles whose large pieces stand beside them: who unpickles these uses the pieces where they lie.

All of it is one row of bytes: a mark, how long the pickle is and how many pieces there are, how long each is, the
pickle, and the pieces.
"""

from __future__ import annotations

import mmap
import pickle
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGE = 1024 * 1024
"""Pieces of fewer bytes stand in the pickle."""

_MARK = b"\0beside\0"  # no pickle begins so
_HEAD = struct.Struct("<8sQQ")
_ALIGNED = 64  # what arrays begin at, for the processor's sake


class Pieces:
    """What a pickler finds to stand beside its pickle."""

    def __init__(self) -> None:
        self._found: list[memoryview] = []

    def take(self, buffer: pickle.PickleBuffer) -> bool:
        """Take a piece, where it is large; True where it is to stand in the pickle."""
        try:
            view = buffer.raw()
        except BufferError:  # it is not in one piece
            return True
        if view.nbytes < LARGE:
            return True
        self._found.append(view)
        return False

    def joined(self, pickled: bytes) -> bytes:
        """Return the pickle with the pieces that were taken; by itself where there are none."""
        if not self._found:
            return pickled
        sizes = [view.nbytes for view in self._found]
        chunks: list[bytes | memoryview] = [
            _HEAD.pack(_MARK, len(pickled), len(sizes)),
            struct.pack(f"<{len(sizes)}Q", *sizes),
            pickled,
        ]
        end = sum(map(len, chunks))
        for view in self._found:
            gap = -end % _ALIGNED
            chunks += [bytes(gap), view]
            end += gap + view.nbytes
        return b"".join(chunks)


def loads(data: bytes | memoryview) -> Any:
    """Unpickle what `Pieces.joined` gave. What can be changed of it is nobody else's."""
    if bytes(data[: len(_MARK)]) != _MARK:
        return pickle.loads(data)
    whole = memoryview(data)
    if isinstance(whole.obj, mmap.mmap):  # which is of this process alone, and copied as far as it is written to
        whole = memoryview(whole.obj)
    _, length, count = _HEAD.unpack_from(whole)
    sizes = struct.unpack_from(f"<{count}Q", whole, _HEAD.size)
    start = _HEAD.size + 8 * count
    pickled = whole[start : start + length]
    start += length
    pieces: list[memoryview | bytearray] = []
    for size in sizes:
        start += -start % _ALIGNED
        piece = whole[start : start + size]
        pieces.append(bytearray(piece) if piece.readonly else piece)
        start += size
    return pickle.loads(pickled, buffers=pieces)
