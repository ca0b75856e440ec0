"""Bringing a SQLite file that was just opened into use: its journal, its schema version, its durability."""

from __future__ import annotations

import os
import sqlite3
import time

from offload.errors import StorageError
from offload.util.filesystems import on_network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_CHECKPOINT = 4000  # pages of write-ahead log: each checkpoint waits for the disk, so few large ones


def prepare(connection: sqlite3.Connection, path: str, migrations: Sequence[str], what: str, wait: float) -> None:
    """Make the tables of a new file, migrate those of an older one, and set how the connection works.

    A file that is up to date is only read.

    Parameters
    ----------
    connection : sqlite3.Connection
        Just opened.
    path, migrations, what
        As for `SqliteFile`.
    wait : float
        Seconds to wait for other processes that are making the same file.

    Raises
    ------
    StorageError
        The file was written by a newer offload.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        _make(connection, path, wait)
    if version < len(migrations):
        _migrate(connection, migrations)
    elif version > len(migrations):
        raise StorageError(
            f"{what} {path} was written by a newer offload (schema {version}; this one knows {len(migrations)})",
            "update offload, or set OFFLOAD_HOME to another directory",
        )
    # With WAL a power loss may undo the last transactions, never damage the file. Else the default, FULL, stays.
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")


def _make(connection: sqlite3.Connection, path: str, wait: float) -> None:
    """Use a write-ahead log, unless the machines of a network file system would have to share its memory map."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    if on_network(os.path.dirname(path)):
        return
    deadline = time.monotonic() + wait
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # The busy timeout does not hold for this statement when several processes make the file at once.
            if code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > deadline:
                raise
        time.sleep(0.005)


def _migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for script in migrations[version:]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(version, len(migrations))}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def code(error: sqlite3.Error) -> int:
    """Give the primary result code of an error; 0 when it did not come from the SQLite library."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
