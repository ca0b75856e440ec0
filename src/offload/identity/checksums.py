"""Names of buffers: SHA-256 checksums, and the per-block digests that make parts of a buffer checkable.

A checksum is a ``str`` of 64 lowercase hexadecimal digits.
"""

from __future__ import annotations

from hashlib import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future, ThreadPoolExecutor
    from hashlib import _Hash as HASH

    Bytes = bytes | bytearray | memoryview

BLOCK = 1 << 20
"""Bytes of a buffer that share one digest (the last block may be shorter)."""

DIGEST = 32
"""Bytes of one digest."""

EMPTY = sha256(b"").hexdigest()
"""The checksum of the empty buffer."""

_LONG = 8 * BLOCK  # bytes from which on a thread is worth its while
_AHEAD = 8  # chunks that may wait for it
_HEX = frozenset("0123456789abcdef")


def checksum(data: Bytes) -> str:
    """Give the checksum of bytes that are in memory.

    Examples
    --------
    >>> checksum(b"offload")[:16]
    'd2433416cb63663d'
    """
    return sha256(data).hexdigest()


def checksum_of_chunks(chunks: Iterable[Bytes]) -> str:
    """Give the checksum of the concatenated chunks.

    Examples
    --------
    >>> checksum_of_chunks([b"off", b"load"]) == checksum(b"offload")
    True
    """
    digest = sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def is_checksum(text: str) -> bool:
    """Tell whether a text has the form of a checksum.

    Examples
    --------
    >>> is_checksum(EMPTY), is_checksum("d243")
    (True, False)
    """
    return len(text) == 64 and _HEX.issuperset(text)


class BlockHasher:
    """Computes, in one pass, the checksum of a stream and the digests of its blocks.

    Parameters
    ----------
    whole : bool
        False when the checksum is known already and only the digests are wanted.

    Attributes
    ----------
    size : int
        Bytes seen so far.

    Examples
    --------
    >>> hasher = BlockHasher()
    >>> hasher.update(b"offload")
    >>> hasher.checksum() == checksum(b"offload"), len(hasher.digests())
    (True, 32)
    """

    __slots__ = ("_block", "_digests", "_left", "_pending", "_pool", "_whole", "size")

    def __init__(self, whole: bool = True) -> None:
        self._whole = sha256() if whole else None
        self._block = sha256()
        self._left = BLOCK
        self._digests: list[bytes] = []
        self._pool: ThreadPoolExecutor | None = None
        self._pending: list[Future[None]] = []
        self.size = 0

    def update(self, data: Bytes) -> None:
        """Take the next bytes of the stream; those of a long one must not change until the checksum is asked for."""
        view = memoryview(data).cast("B")
        self.size += len(view)
        if self._whole is not None:
            self._update_whole(self._whole, view)
        while len(view) >= self._left:
            self._block.update(view[: self._left])
            self._digests.append(self._block.digest())
            view = view[self._left :]
            self._block = sha256()
            self._left = BLOCK
        if view:
            self._block.update(view)
            self._left -= len(view)

    def _update_whole(self, whole: HASH, view: memoryview) -> None:
        """Hash the whole of a long stream on another core than its blocks."""
        if self._pool is None:
            if self.size < _LONG:
                whole.update(view)
                return
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(1)
        self._pending.append(self._pool.submit(whole.update, view))
        if len(self._pending) > _AHEAD:
            self._pending.pop(0).result()

    def checksum(self) -> str:
        """Give the checksum of everything seen so far."""
        if self._whole is None:
            raise ValueError("this hasher was made for the digests of blocks only")
        self.close()
        return self._whole.hexdigest()

    def close(self) -> None:
        """Let go of the thread that a long stream needs."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
            while self._pending:
                self._pending.pop().result()

    def digests(self) -> bytes:
        """Give the digests of the blocks, one after the other; a stream of no bytes has none."""
        last = self._block.digest() if self._left < BLOCK else b""
        return b"".join(self._digests) + last
