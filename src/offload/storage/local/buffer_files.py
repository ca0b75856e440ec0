"""The files of large buffers: where they lie, and whether one that is not seen is gone or only out of reach.

A disk may be away for a moment: a file server that does not answer, a link that leads nowhere, the empty mount point of
a disk that is not mounted. What is in the store must not be forgotten then. So a file counts as gone only where the
directory of the files is seen to be the store's own: it holds a marker, written when the directory is made.
"""

from __future__ import annotations

import errno
import os
import stat

from offload.errors import StorageError
from offload.util.filesystems import sync_directory, sync_names, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from offload.storage.sqlite.file import SqliteFile

MARKER = ".offload"
"""The file that tells the store's own directory from an empty mount point in its place."""

_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_PIECE = 128 * 1024  # bytes that are compared at a time
_TEXT = "A buffer that is not in this directory counts as gone, as long as this file is here.\n"
_ANY = "SELECT 1 FROM digests LIMIT 1"
_SAMPLE = "SELECT checksum FROM digests JOIN buffer USING (checksum) WHERE packed IS NULL LIMIT 100"


class BufferFiles:
    """The directory with one file for each large buffer, named by its checksum.

    Parameters
    ----------
    path : str
        The directory.
    index : SqliteFile
        The index, which says what should be in it.
    sync : bool
        Whether names of files are made durable.

    Attributes
    ----------
    path : str
        As given.
    """

    def __init__(self, path: str, index: SqliteFile, sync: bool) -> None:
        self.path = path
        self._index = index
        self._sync = sync

    def place(self, checksum: str) -> str:
        """Give the path of a file."""
        return f"{self.path}/{checksum[:2]}/{checksum}"

    def status(self, checksum: str) -> os.stat_result | None:
        """Give what the system knows of a file; None when it is gone.

        Raises
        ------
        StorageError
            Whether it is there cannot be told.
        """
        while True:
            try:
                return os.stat(self.place(checksum))
            except OSError as error:
                if self.is_gone(checksum, error):
                    return None

    def is_gone(self, checksum: str, error: OSError) -> bool:
        """Tell whether a file that could not be found is gone; False when it has come back meanwhile.

        Parameters
        ----------
        checksum : str
            The buffer.
        error : OSError
            What came when it was looked for.

        Raises
        ------
        StorageError
            It is only out of reach.
        """
        if error.errno != errno.ENOENT:
            raise self._away(error)
        # What is asked through one descriptor is asked of one disk, even if another is mounted there meanwhile.
        directory = self._open()
        try:
            self._make_sure(directory)
            try:
                return not _leads_somewhere(directory, checksum[:2], checksum)
            except OSError as reason:
                raise self._away(reason) from reason
        finally:
            os.close(directory)

    def make_sure(self) -> None:
        """Make sure that the files can be seen, where the index has any.

        Raises
        ------
        StorageError
            They are out of reach.
        """
        if self._index.query(_ANY):
            self._make_sure_of_path()

    def _make_sure_of_path(self) -> None:
        directory = self._open()
        try:
            self._make_sure(directory)
        finally:
            os.close(directory)

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._away(error) from error

    def _make_sure(self, directory: int) -> None:
        try:
            os.stat(MARKER, dir_fd=directory)
            return
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._away(error) from error
        # It may be of a store that an offload without markers has made: then what should be there is there.
        expected = [row[0] for row in self._index.query(_SAMPLE)]
        seen = sum(_is_seen(directory, checksum) for checksum in expected)
        if expected and 2 * seen < len(expected):
            raise self._unmarked()
        self._mark(directory)

    def make_room(self, connection: sqlite3.Connection) -> None:
        """Make sure that files can be added: make the directory when the store has no files yet.

        Parameters
        ----------
        connection : sqlite3.Connection
            Of the index, in a transaction that writes: nobody else adds a file meanwhile.

        Raises
        ------
        StorageError
            The directory is out of reach: what is written now would be hidden when it is back.
        """
        try:
            os.stat(f"{self.path}/{MARKER}")
            return
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._away(error) from error
        if connection.execute(_ANY).fetchone() is None:
            try:
                os.makedirs(self.path, 0o700, exist_ok=True)
                if self._sync:
                    sync_names(os.path.dirname(self.path))
            except OSError as error:
                raise translated(error, self.path) from error
        self._make_sure_of_path()

    def _mark(self, directory: int) -> None:
        try:
            descriptor = os.open(MARKER, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=directory)
        except OSError as error:
            if error.errno in _DENIED:
                return  # who only reads the store can see its files all the same
            raise translated(error, self.path) from error
        try:
            os.write(descriptor, _TEXT.encode())
            if self._sync:
                os.fsync(descriptor)
                os.fsync(directory)
        except OSError as error:
            raise translated(error, self.path) from error
        finally:
            os.close(descriptor)

    def move_in(self, path: str, checksum: str) -> None:
        """Give a finished file its place; one that is there is replaced. `make_room` comes before."""
        place = self.place(checksum)
        try:
            try:
                os.rename(path, place)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(place), 0o700, exist_ok=True)
                if self._sync:
                    sync_directory(self.path)
                try:
                    os.rename(path, place)
                except FileNotFoundError:
                    raise StorageError(
                        f"{path}, on its way into the store, was removed meanwhile",
                        "offload gc takes for left over what nobody has written to for a day; put it again",
                    ) from None
        except OSError as error:
            raise translated(error, self.path) from error

    def holds(self, checksum: str, chunks: Iterable[bytes]) -> bool:
        """Tell whether a file is there and has just these bytes."""
        try:
            with open(os.open(self.place(checksum), os.O_RDONLY | os.O_CLOEXEC), "rb", buffering=0) as file:
                for chunk in chunks:
                    for start in range(0, len(chunk), _PIECE):
                        piece = chunk[start : start + _PIECE]
                        if file.read(len(piece)) != piece:
                            return False
                return not file.read(1)
        except FileNotFoundError as error:
            self.is_gone(checksum, error)
            return False
        except OSError as error:
            raise self.unreadable(error, checksum) from error

    def remove(self, checksum: str) -> None:
        """Remove a file; one that is gone already is no error."""
        place = self.place(checksum)
        try:
            os.unlink(place)
        except FileNotFoundError as error:
            self.is_gone(checksum, error)
        except OSError as error:
            raise (translated(error, place) if error.errno in _DENIED else self._away(error)) from error

    def unreadable(self, error: OSError, checksum: str) -> StorageError:
        """Give the error to raise where a file that is there cannot be read."""
        return StorageError(
            f"{self.place(checksum)} cannot be read: {error.strerror}",
            "check its disk, its owner and its mode; nothing has been forgotten",
        )

    def _away(self, error: OSError) -> StorageError:
        hint = "check its disk, its owner and its mode; nothing has been forgotten"
        return StorageError(
            f"the store's directory {self.path} cannot be reached: {error.strerror}",
            self._if_lost() if error.errno == errno.ENOENT else hint,
        )

    def _unmarked(self) -> StorageError:
        message = f"the store's buffers are not in its directory {self.path}: there is no {MARKER} in it"
        return StorageError(message, self._if_lost())

    def _if_lost(self) -> str:
        return (
            "is its disk mounted? nothing has been forgotten;"
            f" if the buffers are lost for good: mkdir -p {self.path}; touch {self.path}/{MARKER}"
        )


def _leads_somewhere(directory: int, folder: str, name: str) -> bool:
    """Tell whether a file is there.

    Raises
    ------
    OSError
        A link is there, which leads nowhere: the file is out of reach.
    """
    for path in (folder, f"{folder}/{name}"):
        try:
            os.stat(path, dir_fd=directory)
        except FileNotFoundError:
            try:
                status = os.stat(path, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                return False
            if stat.S_ISLNK(status.st_mode):
                raise OSError(errno.ENOLINK, f"the link {path} leads nowhere") from None
            return True  # it has come back in this very moment
    return True


def _is_seen(directory: int, checksum: str) -> bool:
    try:
        os.stat(f"{checksum[:2]}/{checksum}", dir_fd=directory)
    except OSError:
        return False
    return True
