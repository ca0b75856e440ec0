"""The outcomes of the calls of a batch, in memory that a runner and its worker share.

They are there whatever becomes of the runner, so that its worker need not be told of each: only that the batch is done.
"""

from __future__ import annotations

import io
import os
import pickle
import struct

from offload.runners.frames import memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from offload.transport.outcome import Outcome

SMALL = 16 * 1024
"""Results of more bytes go as messages of their own, so that the memory is never large."""

_HEAD = struct.Struct("<I")  # how long the pickle is; 0 for an outcome that went as a message, before


class Journal:
    """One side of it: a runner's adds, its worker's reads, while the runner adds nothing.

    Parameters
    ----------
    descriptor : int
        Of the memory; the journal closes it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._end = 0

    @property
    def descriptor(self) -> int:
        """Of its memory."""
        return self._descriptor

    def begin(self) -> None:
        """Begin the next batch: what is there belongs to the one before."""
        self._end = 0

    def add(self, outcome: Outcome | None) -> None:
        """Write an outcome down; None in the place of one that was sent."""
        data = pickle.dumps(outcome, 5) if outcome is not None else b""
        data = _HEAD.pack(len(data)) + data
        if os.pwrite(self._descriptor, data, self._end) != len(data):
            raise MemoryError("there is no memory for results")
        self._end += len(data)

    def empty(self) -> None:
        """Let the memory go; before the runner is given its batch."""
        os.ftruncate(self._descriptor, 0)

    def outcomes(self, sent: Iterable[Outcome]) -> list[Outcome]:
        """Return the outcomes in their order, with those that were sent; the last one may have been cut short."""
        found: list[Outcome] = []
        messages = iter(sent)
        file = io.BytesIO(os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0))
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            (length,) = _HEAD.unpack(head)
            data = file.read(length)
            if len(data) != length:
                break
            found.append(pickle.loads(data) if data else next(messages))
        return found

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


def journal() -> tuple[Journal, int]:
    """Return the worker's side of a new journal, and a descriptor for the runner's."""
    descriptor = memory()
    return Journal(descriptor), os.dup(descriptor)
