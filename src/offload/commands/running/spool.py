"""Bytes put aside while they pass: in memory while they are few, in a file beyond."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from offload.storage.store import Store

IN_MEMORY = 64 * 1024
CHUNK = 1024 * 1024

LOOK_EVERY = 64 * 10**6
"""Bytes between two looks at the room on the disk."""


class Spool:
    """A growing sequence of bytes.

    Parameters
    ----------
    place : callable
        Returns the path of the file to use, the first time that one is needed.
    limit : int
        Bytes kept in memory.
    """

    __slots__ = ("_checksum", "_chunks", "_file", "_limit", "_looked", "_place", "_store", "path", "size")

    def __init__(self, place: Callable[[], str], limit: int = IN_MEMORY) -> None:
        self._place = place
        self._limit = limit
        self._chunks: list[bytes] = []
        self._file: BinaryIO | None = None
        self._checksum = ""
        self._looked = 0
        self._store: Store | None = None
        self.path: str | None = None
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self.size += len(data)
        if self._file is None:
            self._chunks.append(data)
            if self.size <= self._limit:
                return
            self.path = self._place()
            data, self._chunks = b"".join(self._chunks), []
        assert self.path is not None
        try:
            if self._file is None:
                self._file = open(self.path, "xb")  # noqa: SIM115 - closed by `close`
            self._file.write(data)
            if self.size - self._looked >= LOOK_EVERY:
                self._looked = self.size
                self._check_room()
        except OSError as exc:
            from offload.util.filesystems import translated

            raise translated(exc, self.path) from exc

    def _check_room(self) -> None:
        import os

        from offload.errors import DiskFullError
        from offload.util.filesystems import is_nearly_full

        directory = os.path.dirname(self.path or "")
        if is_nearly_full(directory):
            raise DiskFullError(
                f"{self.size // 10**6:,} MB are put aside, and the disk of {directory} is nearly full",
                "free some, or name another directory: TMPDIR",
            )

    def close(self) -> None:
        """Flush; nothing is written after this."""
        if self._file is not None:
            self._file.close()

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in order, from a spool that is closed."""
        if self._store is not None:
            with self._store.open(self._checksum) as reader:
                while data := reader.read(CHUNK):
                    yield data
            return
        if self.path is None:
            yield from self._chunks
            return
        with open(self.path, "rb") as stream:
            while data := stream.read(CHUNK):
                yield data

    def read(self) -> bytes:
        """Return the whole content."""
        return b"".join(self.chunks())

    def tail(self, size: int) -> bytes:
        """Return the last bytes."""
        if self.path is None:
            return b"".join(self._chunks)[-size:]
        with open(self.path, "rb") as stream:
            stream.seek(max(0, self.size - size))
            return stream.read()

    def gather(self, contents: dict[str, bytes], store: Store) -> str:
        """Return the checksum; what is small is added to what is to be stored together, by checksum."""
        if self.path is not None:
            return store.put_file(self.path)
        from offload.identity.checksums import checksum

        data = b"".join(self._chunks)
        name = checksum(data)
        contents[name] = data
        self._checksum = name
        return name

    def leave_to(self, store: Store) -> None:
        """Hold the content no longer: it is in a store, where `gather` had it put."""
        if self._checksum and self.size:
            self._chunks, self._store = [], store

    def store(self, store: Store) -> str:
        """Put the content into a store and return its checksum."""
        if self.path is None:
            return store.put([b"".join(self._chunks)])[0]
        return store.put_file(self.path)


def held(content: bytes | str) -> Spool:
    """Return a closed spool over bytes, or over a file by its path."""
    import os

    if isinstance(content, str):
        spool = Spool(lambda: content)
        spool.path, spool.size = content, os.path.getsize(content)
    else:
        spool = Spool(lambda: "", len(content))
        spool.write(content)
    return spool


def adopt(path: str, limit: int = IN_MEMORY) -> Spool:
    """Return a closed spool over a file that something else wrote; a small file is read and removed."""
    import os

    spool = Spool(lambda: path, limit)
    size = os.path.getsize(path)
    if size <= limit:
        with open(path, "rb") as stream:
            spool.write(stream.read())
        os.unlink(path)
    else:
        spool.path = path
        spool.size = size
    return spool
