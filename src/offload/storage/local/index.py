"""The index of a directory store: which buffers there are, the small ones themselves, digests, use times, leases.

Whatever adds or removes a buffer does so while it holds the index's write lock, files included: so a file is never
removed under a row that was just added, and never added under one that is just removed.
"""

from __future__ import annotations

import os
import time

from offload.errors import StorageError
from offload.storage.sqlite.file import SqliteFile
from offload.storage.store import TOUCH
from offload.util.filesystems import sync_directory, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from offload.storage.local.buffer_files import BufferFiles
    from offload.storage.local.disk_reserve import Reserve
    from offload.storage.local.incoming import Incoming

# Blobs stand apart, so that look-ups, counting and collecting touch few pages. A row without `packed` is a file.
_MIGRATIONS = (
    """
    CREATE TABLE buffer (
        checksum TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        used REAL NOT NULL,
        packed INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE packed (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE digests (checksum TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE holder (
        id TEXT PRIMARY KEY,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        started TEXT NOT NULL,
        expires REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE lease (checksum TEXT, holder TEXT, PRIMARY KEY (checksum, holder)) WITHOUT ROWID;
    """,
)
_ROWS = "SELECT checksum, size, used, packed FROM buffer WHERE checksum IN ({})"
_WITH_DATA = (
    "SELECT checksum, size, used, packed, data FROM buffer LEFT JOIN packed ON id = packed WHERE checksum IN ({})"
)
_INSERT = "INSERT OR REPLACE INTO buffer VALUES (?, ?, ?, ?)"


class Index:
    """The index of the store in a directory, and the places of its files.

    Parameters
    ----------
    path : str
        The store's directory.
    clock : callable
        Gives the Unix time.
    sync : bool
        Whether names of files are made durable.

    """

    def __init__(self, path: str, clock: Callable[[], float] = time.time, sync: bool = True) -> None:
        self.path = path
        self.clock = clock
        self.temporary = os.path.join(path, "tmp")
        self.corrupt = os.path.join(path, "corrupt")
        self.file = SqliteFile(
            os.path.join(path, "index.sqlite"),
            _MIGRATIONS,
            "the store's index",
            "results whose buffers are lost are computed again",
        )
        self._sync = sync
        self._files: BufferFiles | None = None
        self._reserve: Reserve | None = None

    # What a recalled small result does not need is imported where it is used.

    @property
    def files(self) -> BufferFiles:
        """The files of large buffers."""
        if self._files is None:
            from offload.storage.local.buffer_files import BufferFiles

            self._files = BufferFiles(os.path.join(self.path, "buffers"), self.file, self._sync)
        return self._files

    @property
    def reserve(self) -> Reserve:
        """Room that is let go of when the disk is full."""
        if self._reserve is None:
            from offload.storage.local.disk_reserve import Reserve

            self._reserve = Reserve(os.path.join(self.path, "reserve"), self.file.path)
        return self._reserve

    def present(self, checksums: Sequence[str]) -> dict[str, int]:
        """Give the sizes of those buffers that are there; a row whose file is gone, or has another size, is dropped."""
        rows = self.file.query_keys(_ROWS, checksums)
        sizes = {row[0]: row[1] for row in rows}
        gone = []
        for checksum, size, _, packed in rows:
            if packed is not None:
                continue
            status = self.files.status(checksum)
            if status is None:
                gone.append(checksum)
            elif status.st_size != size and self.set_aside_file(checksum, status.st_ino):
                del sizes[checksum]
        for checksum in self.drop_gone(gone) if gone else ():
            del sizes[checksum]
        return sizes

    def touch(self, used: Iterable[tuple[str, float]]) -> None:
        """Note that buffers, given with their last noted use, were used; without waiting, and at most once an hour."""
        now = self.clock()
        # Use times only order what gc removes: when the index is busy or cannot be written, the next use will tell.
        due = [(now, checksum) for checksum, last in used if last < now - TOUCH]
        if due:
            self.file.attempt("UPDATE buffer SET used = ? WHERE checksum = ?", due)

    def good(self, buffers: Mapping[str, Iterable[bytes]]) -> set[str]:
        """Tell which buffers are there with just these bytes, and need not be put again; note their use.

        What has been damaged on the disk, and was not read since, must not keep good bytes from being stored.
        """
        rows = self.file.query_keys(_WITH_DATA, list(buffers))
        rows = [row for row in rows if self._holds(row[0], row[4], buffers[row[0]])]
        self.touch((row[0], row[2]) for row in rows)
        return {row[0] for row in rows}

    def _holds(self, checksum: str, data: bytes | None, chunks: Iterable[bytes]) -> bool:
        if data is None:
            return self.files.holds(checksum, chunks)
        return data == b"".join(chunks)

    def publish(self, small: Mapping[str, bytes], large: Mapping[str, Incoming]) -> None:
        """Add finished buffers, by checksum, in one transaction; what is there of them already is replaced.

        So is damage that nobody has read yet.
        """
        now = self.clock()
        moved: list[str] = []
        try:
            with self.file.writing() as connection:
                fresh = self._missing(connection, small)
                if fresh:
                    first = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM packed").fetchone()[0]
                    connection.executemany(
                        "INSERT INTO packed VALUES (?, ?)",
                        ((number, small[checksum]) for number, checksum in enumerate(fresh, first)),
                    )
                    connection.executemany(
                        _INSERT,
                        ((checksum, len(small[checksum]), now, number) for number, checksum in enumerate(fresh, first)),
                    )
                if large:
                    self.files.make_room(connection)
                for checksum, incoming in large.items():
                    connection.execute(_INSERT, (checksum, incoming.size, now, None))
                    connection.execute("INSERT OR REPLACE INTO digests VALUES (?, ?)", (checksum, incoming.digests))
                    assert incoming.path is not None
                    self.files.move_in(incoming.path, checksum)
                    incoming.published = True
                    moved.append(checksum)
        except StorageError:
            self._remove_files(moved)
            raise
        self.reserve.keep()
        if self._sync:
            for directory in {os.path.dirname(self.files.place(checksum)) for checksum in moved}:
                sync_directory(directory)
            if moved:  # a large buffer waits for the disk anyway, a small one would wait for nothing else
                self.file.make_durable()

    def _missing(self, connection: sqlite3.Connection, small: Mapping[str, bytes]) -> list[str]:
        """Give the small buffers that are to be added; rows with other bytes are dropped."""
        good = set()
        for checksum, _, _, _, data in self.file.select_keys(connection, _WITH_DATA, list(small)):
            if self._holds(checksum, data, [small[checksum]]):
                good.add(checksum)
            else:
                self.drop(connection, checksum)
        return [checksum for checksum in small if checksum not in good]

    def _remove_files(self, checksums: Sequence[str]) -> None:
        """Remove files whose rows could not be written, unless another process has added the same meanwhile."""
        if checksums:
            with self.file.writing() as connection:
                rows = self.file.select_keys(connection, _ROWS, checksums)
                for checksum in set(checksums) - {row[0] for row in rows}:
                    self.files.remove(checksum)

    def drop_gone(self, checksums: Sequence[str]) -> set[str]:
        """Drop the rows of buffers whose files are gone; give those that are."""
        gone = set()
        with self.file.writing() as connection:
            for checksum in checksums:
                if self.files.status(checksum) is None:
                    self.drop(connection, checksum)
                    gone.add(checksum)
        return gone

    def set_aside_file(self, checksum: str, inode: int) -> bool:
        """Move a corrupt file to ``corrupt/`` and drop its row; False when it has been replaced since it was seen."""
        with self.file.writing() as connection:
            status = self.files.status(checksum)
            try:
                if status is not None and status.st_ino != inode:
                    return False
                os.makedirs(self.corrupt, 0o700, exist_ok=True)
                if status is not None:
                    os.rename(self.files.place(checksum), os.path.join(self.corrupt, checksum))
            except OSError as error:
                raise translated(error, self.path) from error
            self.drop(connection, checksum)
        return True

    def set_aside_packed(self, checksum: str, data: bytes) -> None:
        """Write the corrupt bytes of a packed buffer to ``corrupt/`` and drop it, unless it has been replaced."""
        with self.file.writing() as connection:
            statement = "SELECT data FROM buffer JOIN packed ON id = packed WHERE checksum = ?"
            if connection.execute(statement, (checksum,)).fetchone() != (data,):
                return
            try:
                os.makedirs(self.corrupt, 0o700, exist_ok=True)
                with open(os.path.join(self.corrupt, checksum), "wb") as file:
                    file.write(data)
            except OSError as error:
                raise translated(error, self.path) from error
            self.drop(connection, checksum)

    @staticmethod
    def drop(connection: sqlite3.Connection, checksum: str) -> None:
        """Drop all rows of a buffer."""
        statement = "DELETE FROM packed WHERE id = (SELECT packed FROM buffer WHERE checksum = ?)"
        connection.execute(statement, (checksum,))
        connection.execute("DELETE FROM digests WHERE checksum = ?", (checksum,))
        connection.execute("DELETE FROM buffer WHERE checksum = ?", (checksum,))
