"""The store in memory: for tests, and for work that needs to last no longer than its process."""

from __future__ import annotations

import time
from _thread import allocate_lock

from offload.errors import BufferMissingError, ChecksumMismatchError, NotFoundError
from offload.identity.checksums import checksum as checksum_of
from offload.storage.files import write_file
from offload.storage.leases import Lease
from offload.storage.reader import BytesReader, Reader
from offload.storage.rows import Collected, Usage
from offload.storage.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from offload.storage.store import Data


class MemoryStore(Store):
    """A store in memory. Large buffers are held whole; there is nothing that could corrupt them."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = allocate_lock()
        self._buffers: dict[str, bytes] = {}
        self._used: dict[str, float] = {}
        self._leases: dict[object, tuple[frozenset[str], float]] = {}

    def has(self, checksums: Sequence[str]) -> list[bool]:
        return [checksum in self._buffers for checksum in checksums]

    def sizes(self, checksums: Sequence[str]) -> list[int | None]:
        found = [self._buffers.get(checksum) for checksum in checksums]
        return [None if data is None else len(data) for data in found]

    def get(self, checksums: Sequence[str]) -> list[bytes | None]:
        now = self._clock()
        with self._lock:
            self._used.update((checksum, now) for checksum in checksums if checksum in self._buffers)
            return [self._buffers.get(checksum) for checksum in checksums]

    def put(self, buffers: Sequence[Data]) -> list[str]:
        checksums = []
        for buffer in buffers:
            data = buffer if isinstance(buffer, bytes) else b"".join(buffer)
            checksum = checksum_of(data)
            with self._lock:
                self._buffers.setdefault(checksum, data)
                self._used[checksum] = self._clock()
            checksums.append(checksum)
        return checksums

    def open(self, checksum: str) -> Reader:
        data = self.get([checksum])[0]
        if data is None:
            raise BufferMissingError(f"buffer {checksum} is not in the store")
        return BytesReader(checksum, data)

    def put_stream(self, chunks: Iterable[bytes | memoryview], expected: str | None = None) -> str:
        data = b"".join(chunks)
        checksum = checksum_of(data)
        if expected not in (None, checksum):
            raise ChecksumMismatchError(f"the stream has the checksum {checksum}, not {expected}")
        return self.put([data])[0]

    def put_file(self, path: str, expected: str | None = None) -> str:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise NotFoundError(f"{path} cannot be read: {error.strerror}") from error
        checksum = checksum_of(data)
        if expected not in (None, checksum):
            raise ChecksumMismatchError(f"{path} has the checksum {checksum}, not {expected}")
        return self.put([data])[0]

    def extract(self, checksum: str, path: str, mode: int = 0o644) -> None:
        with self.open(checksum) as reader:
            write_file(reader, path, mode)

    def delete(self, checksums: Sequence[str]) -> int:
        with self._lock:
            leased = self._leased()
            gone = [c for c in dict.fromkeys(checksums) if c in self._buffers and c not in leased]
            for checksum in gone:
                del self._buffers[checksum], self._used[checksum]
        return len(gone)

    def _leased(self) -> set[str]:
        now = self._clock()
        return {checksum for checksums, expires in self._leases.values() if expires >= now for checksum in checksums}

    def lease(self, checksums: Sequence[str], seconds: float = 3600.0) -> Lease:
        holder, leased = object(), frozenset(checksums)

        def renewed(seconds: float) -> None:
            with self._lock:
                self._leases[holder] = (leased, self._clock() + seconds)

        def released() -> None:
            with self._lock:
                del self._leases[holder]

        renewed(seconds)
        return Lease(renewed, released)

    def usage(self) -> Usage:
        with self._lock:
            return Usage(len(self._buffers), sum(map(len, self._buffers.values())))

    def collect(self, max_size: int, dry_run: bool = False) -> Collected:
        with self._lock:
            leased = self._leased()
            total = before = sum(map(len, self._buffers.values()))
            gone, spared = [], 0
            for checksum in sorted(self._buffers, key=lambda c: (self._used[c], c)):
                if total <= max_size:
                    break
                if checksum in leased:
                    spared += 1
                    continue
                gone.append(checksum)
                total -= len(self._buffers[checksum])
            kept = len(self._buffers) - len(gone)
            if not dry_run:
                for checksum in gone:
                    del self._buffers[checksum], self._used[checksum]
        return Collected(len(gone), before - total, kept, total, spared)

    def close(self) -> None:
        """Nothing to let go of."""
