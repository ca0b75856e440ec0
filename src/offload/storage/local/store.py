"""The store in a directory: small buffers packed in its index, large ones a file each."""

from __future__ import annotations

import os
import time

from offload.errors import BufferMissingError, ChecksumMismatchError
from offload.identity.checksums import checksum as checksum_of
from offload.identity.checksums import checksum_of_chunks
from offload.storage.local.index import Index
from offload.storage.store import PACKED, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from offload.storage.local.eviction import Costs
    from offload.storage.local.incoming import Incoming
    from offload.storage.local.leases import Lease
    from offload.storage.reader import Reader
    from offload.storage.records import Collected, Usage
    from offload.storage.store import Data

# What a recalled result does not need is imported where it is used: a recalled command is over in a few milliseconds.

_READ = "SELECT checksum, used, packed, data FROM buffer LEFT JOIN packed ON id = packed WHERE checksum"
_READ_ONE = _READ + " = ?"
_READ_MANY = _READ + " IN ({})"


class DirectoryStore(Store):
    """The store in a directory, for any number of processes of one machine at once.

    Parameters
    ----------
    path : str
        The directory; made when first used.
    clock : callable
        Gives the Unix time.
    sync : bool
        False leaves it to the system when large buffers reach the disk: faster, and what was put in the last seconds
        before a power loss may then be missing or (found when read) corrupt.
    """

    def __init__(self, path: str, clock: Callable[[], float] = time.time, sync: bool = True) -> None:
        self._index = Index(path, clock, sync)
        self._clock = clock
        self._sync = sync

    def has(self, checksums: Sequence[str]) -> list[bool]:
        present = self._index.present(checksums)
        return [checksum in present for checksum in checksums]

    def resolve(self, digits: str) -> str | None:
        from offload.storage.prefixes import only, prefix_range

        statement = "SELECT checksum FROM buffer WHERE checksum >= ? AND checksum < ? LIMIT 2"
        return only([row[0] for row in self._index.file.query(statement, prefix_range(digits))], digits)

    def sizes(self, checksums: Sequence[str]) -> list[int | None]:
        present = self._index.present(checksums)
        return [present.get(checksum) for checksum in checksums]

    def get(self, checksums: Sequence[str]) -> list[bytes | None]:
        if len(checksums) == 1:
            rows = self._index.file.query(_READ_ONE, (checksums[0],))
            if not rows:
                return [None]
        else:
            rows = self._index.file.query_keys(_READ_MANY, checksums)
        found: dict[str, bytes | None] = {}
        for checksum, _, packed, data in rows:
            if packed is None:
                found[checksum] = self._read_file(checksum)
            elif checksum_of(data) == checksum:
                found[checksum] = data
            else:
                self._index.set_aside_packed(checksum, data)
        self._index.touch([(row[0], row[1]) for row in rows])
        return [found.get(checksum) for checksum in checksums]

    def _read_file(self, checksum: str) -> bytes | None:
        descriptor = self._open_place(checksum)
        if descriptor is None:
            return None
        try:
            with open(descriptor, "rb", buffering=0) as file:
                data = file.readall()
                inode = os.fstat(descriptor).st_ino
        except OSError as error:
            raise self._index.files.unreadable(error, checksum) from error
        if checksum_of(data) != checksum:
            self._index.set_aside_file(checksum, inode)
            return None
        return data

    def _open_place(self, checksum: str) -> int | None:
        """Open the file of a buffer; where it is gone, drop its row."""
        files = self._index.files
        while True:
            try:
                return os.open(files.place(checksum), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                if files.is_gone(checksum, error) and self._index.drop_gone([checksum]):
                    return None
            except OSError as error:
                raise files.unreadable(error, checksum) from error

    def put(self, buffers: Sequence[Data]) -> list[str]:
        checksums: list[str] = []
        small: dict[str, bytes] = {}
        large: dict[str, Sequence[bytes]] = {}
        for buffer in buffers:
            chunks = (buffer,) if isinstance(buffer, bytes) else buffer
            if sum(map(_size, chunks)) < PACKED:
                data = buffer if isinstance(buffer, bytes) else b"".join(chunks)
                checksum = checksum_of(data)
                small[checksum] = data
            elif constant := _all_bytes(chunks):
                checksum = checksum_of_chunks(constant)
                large[checksum] = constant
            else:
                # Somebody may change these bytes meanwhile, so they are hashed only as they are written.
                checksum = self.put_stream(chunks)
            checksums.append(checksum)
        for checksum in self._index.good({**{name: (data,) for name, data in small.items()}, **large}):
            small.pop(checksum, None)
            large.pop(checksum, None)
        incoming: dict[str, Incoming] = {}
        try:
            for checksum, chunks in large.items():
                incoming[checksum] = self._incoming(checksum)
                for chunk in chunks:
                    incoming[checksum].write(chunk)
                incoming[checksum].settle()
            if small or incoming:
                self._index.publish(small, incoming)
        finally:
            for one in incoming.values():
                one.close()
        return checksums

    def put_stream(self, chunks: Iterable[bytes | memoryview], expected: str | None = None) -> str:
        with self._incoming() as incoming:
            for chunk in chunks:
                incoming.write(chunk)
            return self._finish(incoming, expected, "the stream")

    def put_file(self, path: str, expected: str | None = None) -> str:
        from offload.storage.user_files import open_file

        with open_file(path) as source, self._incoming() as incoming:
            incoming.copy(source.fileno())
            return self._finish(incoming, expected, path)

    def _incoming(self, known: str | None = None) -> Incoming:
        from offload.storage.local.incoming import Incoming

        return Incoming(self._index.temporary, self._sync, known)

    def _finish(self, incoming: Incoming, expected: str | None, name: str) -> str:
        checksum = incoming.checksum()
        if expected is not None and checksum != expected:
            raise ChecksumMismatchError(f"{name} has the checksum {checksum}, not {expected}")
        if self._index.good({checksum: (incoming.data,) if incoming.path is None else incoming.pieces()}):
            return checksum
        incoming.settle()
        if incoming.path is None:
            self._index.publish({checksum: incoming.data}, {})
        else:
            self._index.publish({}, {checksum: incoming})
        return checksum

    def open(self, checksum: str) -> Reader:
        statement = "SELECT size, packed, data FROM buffer LEFT JOIN digests USING (checksum) WHERE checksum = ?"
        rows = self._index.file.query(statement, (checksum,))
        if rows and rows[0][1] is None:
            return self._open_file(checksum, *rows[0][::2])
        data = self.get([checksum])[0] if rows else None
        if data is None:
            raise _missing(checksum)
        from offload.storage.reader import BytesReader

        return BytesReader(checksum, data)

    def _open_file(self, checksum: str, size: int, digests: bytes) -> Reader:
        from offload.storage.reader import FileReader

        index = self._index
        # What is open can be read to its end, whatever becomes of its name: no lease is needed.
        descriptor = self._open_place(checksum)
        if descriptor is None:
            raise _missing(checksum)
        index.touch(index.file.query("SELECT checksum, used FROM buffer WHERE checksum = ?", (checksum,)))
        return FileReader(
            checksum,
            size,
            digests,
            descriptor,
            lambda inode: index.set_aside_file(checksum, inode),
            lambda error: index.files.unreadable(error, checksum),
        )

    def extract(self, checksum: str, path: str, mode: int = 0o644) -> None:
        from offload.storage.user_files import write_file

        with self.open(checksum) as reader:
            write_file(reader, path, mode)

    def delete(self, checksums: Sequence[str]) -> int:
        from offload.storage.local import gc

        return gc.delete(self._index, checksums)

    def lease(self, checksums: Sequence[str], seconds: float = 3600.0) -> Lease:
        from offload.storage.local import gc

        return gc.lease(self._index, checksums, seconds)

    def usage(self) -> Usage:
        from offload.storage.records import Usage

        self._index.files.make_sure()
        buffers, size = self._index.file.query("SELECT count(*), coalesce(sum(size), 0) FROM buffer")[0]
        try:
            corrupt = len(os.listdir(self._index.corrupt))
        except FileNotFoundError:
            corrupt = 0
        return Usage(buffers, size, corrupt)

    def collect(self, max_size: int, dry_run: bool = False, costs: Costs | None = None) -> Collected:
        from offload.storage.local import gc

        return gc.collect(self._index, max_size, dry_run, costs)

    def close(self) -> None:
        self._index.file.close()


def _missing(checksum: str) -> BufferMissingError:
    return BufferMissingError(
        f"buffer {checksum} is not in the store", "it was never put, was removed to save space, or was found corrupt"
    )


def _all_bytes(chunks: Sequence[bytes | memoryview]) -> list[bytes]:
    """Give the chunks where none of them can change, else nothing."""
    constant = [chunk for chunk in chunks if isinstance(chunk, bytes)]
    return constant if len(constant) == len(chunks) else []


def _size(chunk: bytes | memoryview) -> int:
    return len(chunk) if isinstance(chunk, bytes) else chunk.nbytes
