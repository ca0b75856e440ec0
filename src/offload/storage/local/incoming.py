"""A buffer on its way into a directory store: in memory while it is small, else in a temp file."""

from __future__ import annotations

import os

from offload.identity.checksums import BLOCK, BlockHasher
from offload.storage.store import PACKED
from offload.util.filesystems import reflink, translated
from offload.util.sparse import SparseWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self


class Incoming:
    """Takes the bytes of one buffer and hashes exactly what it keeps.

    Used in a ``with`` statement, or closed; the temp file is gone then, unless it was published.

    Parameters
    ----------
    directory : str
        Where temp files go; made when missing.
    sync : bool
        Whether the file is made durable when it is settled.
    known : str, optional
        The checksum, when it has been computed from the same immutable bytes already.

    Attributes
    ----------
    path : str or None
        The temp file; None while the buffer is in memory.
    published : bool
        Set by whoever moved the file to its place.
    """

    def __init__(self, directory: str, sync: bool = True, known: str | None = None) -> None:
        self.path: str | None = None
        self.published = False
        self._known = known
        self._directory = directory
        self._sync = sync
        self._memory: list[bytes] = []
        self._hasher = BlockHasher(whole=known is None)
        self._descriptor = -1
        self._sparse: SparseWriter | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes."""
        if isinstance(data, bytes):
            self._take(data)
            return
        view = memoryview(data)
        if view.nbytes:
            view = view.cast("B")
        # Copies, a piece at a time: others may change the original, and what is hashed must be what is kept.
        for start in range(0, view.nbytes, BLOCK):
            self._take(bytes(view[start : start + BLOCK]))

    def copy(self, source: int) -> None:
        """Take the content of an open file, as its only content, sharing the blocks of a large one where possible."""
        if os.fstat(source).st_size >= PACKED:
            self._create()
            try:
                shared = reflink(source, self._descriptor)
            except OSError as error:
                raise translated(error, self._directory) from error
            if shared:
                source = self._descriptor
                while chunk := os.read(source, BLOCK):
                    self._hasher.update(chunk)
                return
        while chunk := os.read(source, BLOCK):
            self._take(chunk)

    def checksum(self) -> str:
        """Give the checksum of all that was taken."""
        return self._known or self._hasher.checksum()

    def settle(self) -> None:
        """Make the content of the temp file durable, which nobody changes any more."""
        if self._descriptor >= 0:
            try:
                if self._sparse is not None:
                    self._sparse.finish()
                os.fchmod(self._descriptor, 0o444)
                if self._sync:
                    os.fsync(self._descriptor)
            except OSError as error:
                raise translated(error, self._directory) from error

    def pieces(self) -> Iterator[bytes]:
        """Give the content of the temp file."""
        start = 0
        while True:
            try:
                piece = os.pread(self._descriptor, BLOCK, start)
            except OSError as error:
                raise translated(error, self._directory) from error
            if not piece:
                return
            yield piece
            start += len(piece)

    @property
    def size(self) -> int:
        """Bytes taken so far."""
        return self._hasher.size

    @property
    def digests(self) -> bytes:
        """The digests of its blocks."""
        return self._hasher.digests()

    @property
    def data(self) -> bytes:
        """The bytes of a small buffer."""
        return b"".join(self._memory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the temp file, which disappears unless it was published."""
        self._hasher.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            if self.path is not None and not self.published:
                try:
                    os.unlink(self.path)
                except FileNotFoundError:  # gc takes what was not written to for a day, as the clock says
                    return
                except OSError as error:
                    raise translated(error, self.path) from error

    def _create(self) -> None:
        path = os.path.join(self._directory, f"{os.getpid()}-{os.urandom(8).hex()}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            try:
                self._descriptor = os.open(path, flags, 0o600)
            except FileNotFoundError:
                os.makedirs(self._directory, 0o700, exist_ok=True)
                self._descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise translated(error, self._directory) from error
        self.path = path

    def _take(self, chunk: bytes) -> None:
        self._hasher.update(chunk)
        if self._descriptor < 0:
            self._memory.append(chunk)
            if self._hasher.size < PACKED:
                return
            self._create()
            chunk, self._memory = b"".join(self._memory), []
        try:
            if self._sparse is None:
                self._sparse = SparseWriter(self._descriptor)
            self._sparse.write(chunk)
        except OSError as error:
            raise translated(error, self._directory) from error
