"""Pickles whose large pieces stand beside them: who unpickles these uses the pieces where they lie.

All of it is one row of bytes: a mark, how long the pickle is and how many pieces there are, how long each is, the
pickle, and the pieces.
"""

from __future__ import annotations

import mmap
import pickle
import struct

from offload.util.memory import room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Buffer = bytes | memoryview

LARGE = 1024 * 1024
"""Pieces of fewer bytes stand in the pickle."""

_MARK = b"\0beside\0"  # no pickle begins so
_HEAD = struct.Struct("<8sQQ")
_ALIGNED = 64  # what arrays begin at, for the processor's sake


class OwnCopy(mmap.mmap):
    """Shared memory of which this process has its own copy, as far as it is written to."""


def beside(data: Any) -> Any:
    """Return bytes as they are to be pickled: large ones go beside the pickle."""
    return pickle.PickleBuffer(data) if isinstance(data, (bytes, memoryview)) and len(data) >= LARGE else data


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

    def chunks(self, pickled: bytes) -> list[Buffer]:
        """Return the pickle and the pieces that were taken, in the order in which they are sent."""
        if not self._found:
            return [pickled]
        sizes = [view.nbytes for view in self._found]
        chunks: list[Buffer] = [
            _HEAD.pack(_MARK, len(pickled), len(sizes)),
            struct.pack(f"<{len(sizes)}Q", *sizes),
            pickled,
        ]
        end = sum(map(len, chunks))
        for view in self._found:
            gap = -end % _ALIGNED
            chunks += [bytes(gap), view]
            end += gap + view.nbytes
        return chunks

    def joined(self, pickled: bytes) -> Any:
        """Return a copy of all that, as a view of it; just the pickle where there are no pieces."""
        if not self._found:
            return pickled
        chunks = self.chunks(pickled)
        joined, end = room(sum(map(len, chunks))), 0
        for chunk in chunks:
            joined[end : end + len(chunk)] = chunk
            end += len(chunk)
        return joined.toreadonly()


def dumps(value: object) -> list[Buffer]:
    """Return a pickled value, with its large pieces as they lie, in the order in which they are sent."""
    pieces = Pieces()
    return pieces.chunks(pickle.dumps(value, 5, buffer_callback=pieces.take))


def loads(data: Buffer) -> Any:
    """Unpickle what `Pieces` gave. What can be changed of it is nobody else's."""
    if bytes(data[: len(_MARK)]) != _MARK:
        return pickle.loads(data)
    whole = memoryview(data)
    if isinstance(whole.obj, OwnCopy):
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
