"""What a starter and its parent say to each other: tuples of plain values, with their length before them.

To the starter:

    ("run", id, argv, program, directory, environment, stdin, timeout, spool, live)
    ("end", id, hard)    one command, or all that run and wait (id 0); they are interrupted first, unless it is `hard`
    ("taken", id, bytes)    so much of the output of a command that is `live` needs no room any more

From the starter:

    ("output", id, which, data)    of a command that is `live`: what it wrote to stdout (0) or stderr (1); no more
                                   comes than can be held until some is said to be taken
    ("ended", id, exit code, started, seconds, cpu seconds, peak memory, stdout, stderr, whole, directory)
    ("refused", id, errno)         the system does not execute it
    ("broken", id, errno, directory)    what it wrote cannot be kept, so it was ended
    ("dropped", id)                it was ended before it began

`directory` None stands for an empty one of the starter's own; where the command left something there, ``ended`` names
it. `stdout` and `stderr` are bytes, or the path of the file that holds them: `spool` with ``.out`` or ``.err``.
"""

from __future__ import annotations

import marshal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_SIZE = 4


def framed(message: tuple[Any, ...]) -> bytes:
    """Return a message as it is sent."""
    data = marshal.dumps(message)
    return len(data).to_bytes(_SIZE, "big") + data


class Frames:
    """Messages out of the pieces in which they arrive."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, piece: bytes) -> Iterator[tuple[Any, ...]]:
        """Take in a piece; yield the messages that are whole with it."""
        data = self._data
        data += piece
        start = 0
        while len(data) - start >= _SIZE:
            end = start + _SIZE + int.from_bytes(data[start : start + _SIZE], "big")
            if len(data) < end:
                break
            yield marshal.loads(memoryview(data)[start + _SIZE : end].tobytes())
            start = end
        del data[:start]
