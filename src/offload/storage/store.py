"""What a store does: keep buffers under their checksums.

What is given back has been checked against its checksum; a buffer that fails the check counts as missing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from offload.storage.records import Collected, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType
    from typing import Self

    from offload.storage.local.eviction import Costs
    from offload.storage.local.leases import Lease
    from offload.storage.reader import Reader

    Data = bytes | Sequence[bytes | memoryview]

__all__ = ["PACKED", "TOUCH", "Collected", "Store", "Usage"]

PACKED = 64 * 1024
"""Buffers of fewer bytes are packed together; larger ones are files."""

TOUCH = 3600.0
"""Seconds for which the time of last use is not written again."""


class Store(ABC):
    """Keeps buffers: immutable bytes, named by their SHA-256 checksum. Safe for many threads.

    Batches are the normal case: thousands of buffers in one call; answers stand in the order of the questions.
    """

    @abstractmethod
    def has(self, checksums: Sequence[str]) -> list[bool]:
        """Tell which buffers are there."""

    @abstractmethod
    def resolve(self, digits: str) -> str | None:
        """Give the checksum of the buffer whose first digits these are; None when there is none.

        Raises
        ------
        UsageError
            The digits fit several buffers, or are no hexadecimal digits.
        """

    @abstractmethod
    def sizes(self, checksums: Sequence[str]) -> list[int | None]:
        """Give the sizes of buffers, in bytes; None for missing ones."""

    @abstractmethod
    def get(self, checksums: Sequence[str]) -> list[bytes | None]:
        """Give whole buffers, verified; None for missing and corrupt ones (these are set aside)."""

    @abstractmethod
    def put(self, buffers: Sequence[Data]) -> list[str]:
        """Keep buffers that are in memory.

        Parameters
        ----------
        buffers : sequence of bytes, or of sequences of bytes or memoryview
            A buffer may be given as the chunks it consists of, to spare a copy.

        Returns
        -------
        list of str
            Their checksums.

        Raises
        ------
        DiskFullError, NotWritableError
            None of the small buffers was kept; the store is as healthy as before.
        """

    @abstractmethod
    def open(self, checksum: str) -> Reader:
        """Open a buffer as a binary file that can be read and sought; every block is verified when first read.

        Raises
        ------
        BufferMissingError
            It is not there, or (also while reading) it is corrupt.
        """

    @abstractmethod
    def put_stream(self, chunks: Iterable[bytes], expected: str | None = None) -> str:
        """Keep a buffer that comes in chunks and is never whole in memory.

        Raises
        ------
        ChecksumMismatchError
            Its checksum is not the expected one; nothing was kept.
        """

    @abstractmethod
    def put_file(self, path: str, expected: str | None = None) -> str:
        """Keep the content of a file, sharing its blocks where the file system can.

        Raises
        ------
        ChecksumMismatchError
            Its checksum is not the expected one; nothing was kept.
        NotFoundError
            There is no such file.
        """

    @abstractmethod
    def extract(self, checksum: str, path: str, mode: int = 0o644) -> None:
        """Write a buffer to a file, which appears at once with its whole, verified content.

        Parameters
        ----------
        checksum : str
            The buffer.
        path : str
            The file; one that exists is replaced.
        mode : int
            Its permissions.
        """

    @abstractmethod
    def delete(self, checksums: Sequence[str]) -> int:
        """Remove buffers, except leased ones. Gives the number removed."""

    @abstractmethod
    def lease(self, checksums: Sequence[str], seconds: float = 3600.0) -> Lease:
        """Keep buffers, also ones that are yet to be put, from being removed until released, or for some seconds.

        The lease of a process that has died on this machine does not count.
        """

    @abstractmethod
    def usage(self) -> Usage:
        """Count buffers and their bytes.

        Raises
        ------
        StorageError
            They are out of reach.
        """

    @abstractmethod
    def collect(self, max_size: int, dry_run: bool = False, costs: Costs | None = None) -> Collected:
        """Remove buffers until those left have at most so many bytes; leased ones never.

        What does not fit by itself goes first, then what is long unused and cheap to compute again; see
        :func:`offload.storage.local.eviction.chosen`.

        Parameters
        ----------
        max_size : int
            Bytes; 0 removes all that is not leased.
        dry_run : bool
            Only tell what would be removed.
        costs : callable, optional
            Gives the seconds that buffers took to compute, by checksum. A service asks its own database instead.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
