"""Reading one buffer as a binary file, each block verified when it is first read."""

from __future__ import annotations

import io
import os
from hashlib import sha256

from offload.errors import BufferMissingError
from offload.identity.checksums import BLOCK, DIGEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from _typeshed import WriteableBuffer


class Reader(io.RawIOBase):
    """A buffer as a binary file that can be read and sought.

    Parameters
    ----------
    checksum : str
        The buffer's name.
    size : int
        Its bytes.

    Attributes
    ----------
    descriptor : int or None
        The open file of a large buffer on disk. Reading it directly is unverified.
    """

    descriptor: int | None = None

    def __init__(self, checksum: str, size: int) -> None:
        super().__init__()
        self.checksum = checksum
        self.size = size
        self._position = 0
        self._verified = bytearray((size + BLOCK - 1) // BLOCK)
        self._current = (-1, b"")

    def _block(self, index: int) -> bytes:
        """Give a verified block: `BLOCK` bytes, the last one shorter."""
        raise NotImplementedError

    def _part(self, start: int, stop: int) -> bytes:
        """Give some bytes of one block, which was verified before."""
        raise NotImplementedError

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._check_open()
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"cannot seek to {base + offset}, before the start")
        self._position = base + offset
        return self._position

    def readinto(self, target: WriteableBuffer) -> int:
        self._check_open()
        view = memoryview(target).cast("B")
        end = min(self._position + len(view), self.size)
        count = max(end - self._position, 0)
        filled = 0
        while filled < count:
            piece = self._piece(count - filled)
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
        return count

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, fewer only at the end; by default all that is left."""
        self._check_open()
        left = max(self.size - self._position, 0)
        count = left if size is None or size < 0 else min(size, left)
        pieces = []
        while count:
            piece = self._piece(count)
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def readall(self) -> bytes:
        return self.read()

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._current = (-1, b"")

    def _piece(self, count: int) -> bytes | memoryview:
        """Give up to `count` bytes from the position on, at most to the end of their block, and advance."""
        index, offset = divmod(self._position, BLOCK)
        stop = min(offset + count, BLOCK)
        if index != self._current[0] and not self._verified[index]:
            self._current = (index, self._block(index))
            self._verified[index] = 1
        piece: bytes | memoryview
        if index == self._current[0]:
            piece = memoryview(self._current[1])[offset:stop]
        else:
            piece = self._part(self._position, index * BLOCK + stop)
        self._position += len(piece)
        return piece

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("read of a closed buffer")


class BytesReader(Reader):
    """Reads a buffer that is in memory and has been verified."""

    def __init__(self, checksum: str, data: bytes) -> None:
        super().__init__(checksum, len(data))
        self._data = data

    def _block(self, index: int) -> bytes:
        return self._data[index * BLOCK : (index + 1) * BLOCK]

    def _part(self, start: int, stop: int) -> bytes:
        return self._data[start:stop]


class FileReader(Reader):
    """Reads a buffer from its file.

    Parameters
    ----------
    checksum, size
        As for `Reader`.
    digests : bytes
        Those of its blocks.
    descriptor : int
        The open file; closed with the reader.
    set_aside : callable
        Called with the file's inode when a block is not what its digest says.
    unreadable : callable
        Gives the error to raise when the system cannot read the file.
    """

    def __init__(
        self,
        checksum: str,
        size: int,
        digests: bytes,
        descriptor: int,
        set_aside: Callable[[int], object],
        unreadable: Callable[[OSError], Exception],
    ) -> None:
        super().__init__(checksum, size)
        self.descriptor: int = descriptor
        self._digests = digests
        self._set_aside = set_aside
        self._unreadable = unreadable

    def _read(self, start: int, stop: int) -> bytes:
        try:
            return os.pread(self.descriptor, stop - start, start)
        except OSError as error:
            raise self._unreadable(error) from error

    def _block(self, index: int) -> bytes:
        data = self._read(index * BLOCK, (index + 1) * BLOCK)
        if sha256(data).digest() != self._digests[index * DIGEST : (index + 1) * DIGEST]:
            self._fail()
        return data

    def _part(self, start: int, stop: int) -> bytes:
        data = self._read(start, stop)
        if len(data) < stop - start:
            self._fail()
        return data

    def _fail(self) -> NoReturn:
        self._set_aside(os.fstat(self.descriptor).st_ino)
        raise BufferMissingError(
            f"buffer {self.checksum} was corrupt and has been set aside", "what made it can be run again"
        )

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self.descriptor)
