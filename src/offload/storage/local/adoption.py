"""Files of buffers that the index does not know: taken back into it where they are what their names say."""

from __future__ import annotations

import os

from offload.identity.checksums import BLOCK, BlockHasher, is_checksum
from offload.util.filesystems import translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from offload.storage.local.index import Index

_KNOWN = "SELECT checksum FROM buffer WHERE checksum IN ({})"


def adopt(index: Index, dry_run: bool) -> tuple[int, list[str]]:
    """Take in the files that the index does not know, and whose bytes have the checksum that they are named by.

    The last use of such a buffer is the time at which its file was written.

    Parameters
    ----------
    index : Index
        Of the store.
    dry_run : bool
        Only tell.

    Returns
    -------
    int
        The number of buffers taken in.
    list of str
        The paths of files that are no buffers.
    """
    adopted, strangers = 0, []
    for name in _names(index.files.path):
        if len(name) != 2 or not set(name) <= set("0123456789abcdef"):
            continue
        directory = os.path.join(index.files.path, name)
        files = _names(directory)
        known = {row[0] for row in index.file.query_keys(_KNOWN, files)}
        for file in files:
            if file in known:
                continue
            taken = is_checksum(file) and file.startswith(name) and _adopt_one(index, file, dry_run)
            if taken:
                adopted += 1
            elif taken is not None:
                strangers.append(os.path.join(directory, file))
    return adopted, strangers


def is_known(connection: sqlite3.Connection, checksum: str) -> bool:
    """Tell whether the index has a row for a buffer."""
    return connection.execute("SELECT 1 FROM buffer WHERE checksum = ?", (checksum,)).fetchone() is not None


def _adopt_one(index: Index, checksum: str, dry_run: bool) -> bool | None:
    """Take in one file; False when it is no buffer, None when it cannot be told, or somebody else has been first."""
    hasher = BlockHasher()
    try:
        with open(index.files.place(checksum), "rb", buffering=0) as file:
            while data := file.read(BLOCK):
                hasher.update(data)
            inode, written = os.fstat(file.fileno()).st_ino, os.fstat(file.fileno()).st_mtime
        if hasher.checksum() != checksum:
            return False
    except OSError:  # it stays where it is: what cannot be read may be good
        return None
    finally:
        hasher.close()
    if dry_run:
        return True
    with index.file.writing() as connection:
        status = index.files.status(checksum)
        if status is None or status.st_ino != inode or is_known(connection, checksum):
            return None
        row = (checksum, hasher.size, min(written, index.clock()))
        connection.execute("INSERT INTO buffer VALUES (?, ?, ?, NULL)", row)
        connection.execute("INSERT OR REPLACE INTO digests VALUES (?, ?)", (checksum, hasher.digests()))
    return True


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise translated(error, directory) from error
