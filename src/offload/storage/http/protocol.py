"""What travels in bodies: checksums, numbers, and buffers in frames; docs/service.md has it all.

All integers are big-endian. A checksum is its 32 bytes. A buffer is a sequence of pieces, each with its length before
it (4 bytes, not 0), ended by a length of 0, or by `GONE` when there is no such buffer, or when it broke off.
"""

from __future__ import annotations

import struct

from offload.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Protocol

    class Source(Protocol):
        """Where frames are read from."""

        def exactly(self, count: int) -> bytes:
            """Give so many bytes."""


VERSION = "1"
"""The version of the protocol; it stands at the start of every path."""

CHECKSUM = 32
PIECE = 1 << 20
"""No piece is longer."""

GONE = 0xFFFFFFFF
FRAMES = "application/vnd.offload.frames"
ROWS = "application/msgpack"
BINARY = "application/octet-stream"
LEASE = "Offload-Lease"
"""The header with the lease that goes with an opened buffer."""

_length = struct.Struct(">I")
END = b"\0\0\0\0"
BROKEN = b"\xff\xff\xff\xff"


class FormatError(UsageError):
    """A body is not what the protocol says."""


def pack_checksums(checksums: Sequence[str]) -> bytes:
    """Give checksums as bytes.

    Raises
    ------
    FormatError
        One is no checksum.

    Examples
    --------
    >>> unpack_checksums(pack_checksums(["ab" * 32, "00" * 32])) == ["ab" * 32, "00" * 32]
    True
    """
    try:
        packed = bytes.fromhex("".join(checksums))
    except ValueError:
        packed = b""
    if len(packed) != CHECKSUM * len(checksums):
        raise FormatError("a checksum has 64 hexadecimal digits")
    return packed


def unpack_checksums(data: bytes) -> list[str]:
    """Give the checksums that bytes hold."""
    if len(data) % CHECKSUM:
        raise FormatError(f"{len(data)} bytes are no whole number of checksums")
    text = data.hex()
    return [text[start : start + 64] for start in range(0, len(text), 64)]


def pack_optional(checksums: Sequence[str | None]) -> bytes:
    """Give checksums some of which are missing: a byte 0 or 1 for each, then those that are there.

    Examples
    --------
    >>> unpack_optional(pack_optional([None, "ab" * 32, None]), 3) == [None, "ab" * 32, None]
    True
    """
    flags = bytes(checksum is not None for checksum in checksums)
    return flags + pack_checksums([checksum for checksum in checksums if checksum is not None])


def unpack_optional(data: bytes, count: int) -> list[str | None]:
    """Undo `pack_optional`, for so many checksums."""
    flags, present = data[:count], unpack_checksums(data[count:])
    if len(flags) != count or sum(map(bool, flags)) != len(present):
        raise FormatError(f"{len(data)} bytes do not answer {count} questions")
    found = iter(present)
    return [next(found) if flag else None for flag in flags]


def pack_sizes(sizes: Sequence[int | None]) -> bytes:
    """Give sizes as 8 bytes each, -1 for a missing one.

    Examples
    --------
    >>> unpack_sizes(pack_sizes([3, None, 1 << 40]))
    [3, None, 1099511627776]
    """
    return struct.pack(f">{len(sizes)}q", *(-1 if size is None else size for size in sizes))


def unpack_sizes(data: bytes) -> list[int | None]:
    """Undo `pack_sizes`."""
    if len(data) % 8:
        raise FormatError(f"{len(data)} bytes are no whole number of sizes")
    return [None if size < 0 else size for size in struct.unpack(f">{len(data) // 8}q", data)]


def piece(data: bytes | memoryview) -> bytes:
    """Give the next piece of a buffer; not an empty one."""
    return _length.pack(len(data)) + data


def frame(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Give a buffer as a frame.

    Examples
    --------
    >>> b"".join(frame([b"ab", b"", b"c"])).hex(" ", 1)
    '00 00 00 02 61 62 00 00 00 01 63 00 00 00 00'
    """
    for chunk in chunks:
        view = memoryview(chunk)
        if view.nbytes:
            view = view.cast("B")
        for start in range(0, view.nbytes, PIECE):
            yield piece(view[start : start + PIECE])
    yield END


def small_frame(data: bytes | None) -> bytes:
    """Give a whole small buffer, or the word that there is none, as a frame."""
    if data is None:
        return BROKEN
    return b"%b%b\0\0\0\0" % (_length.pack(len(data)), data) if data else END


def pieces(source: Source) -> Iterator[bytes]:
    """Read the pieces of one frame.

    Raises
    ------
    BufferGoneError
        There is no such buffer, or it broke off.
    FormatError
        A piece is too long.
    """
    while (length := _length.unpack(source.exactly(4))[0]) != 0:
        if length == GONE:
            raise BufferGoneError
        if length > PIECE:
            raise FormatError(f"a piece of {length} bytes; {PIECE} are allowed")
        yield source.exactly(length)


class BufferGoneError(Exception):
    """A frame says that its buffer is missing."""
