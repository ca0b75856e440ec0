"""Errors of SQLite in plain words."""

from __future__ import annotations

import os
import sqlite3

from offload.errors import DamagedError, DiskFullError, NotWritableError, StorageError
from offload.storage.sqlite.schema import code

_NEEDED = 64 * 1024  # bytes of memory map that a file of SQLite needs on disk while it is open, and some more


def plain(error: sqlite3.Error, path: str, what: str, loss: str, wait: float) -> Exception:
    """Turn an error of SQLite into the kind that a user can act on; programming errors stay what they are.

    Parameters
    ----------
    error : sqlite3.Error
        What was caught.
    path, what, loss
        As for `SqliteFile`.
    wait : float
        Seconds for which other processes were waited for.
    """
    kind = code(error)
    if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        aside = f"move it aside: mv {path} {path}.damaged; {loss}"
        if kind == sqlite3.SQLITE_NOTADB:  # perhaps a slip of the hand: a file of somebody else's is not to be moved
            return DamagedError(f"{what} {path} is damaged, or was never one: {error}", f"if it is offload's, {aside}")
        return DamagedError(f"{what} {path} is damaged: {error}", aside)
    if kind == sqlite3.SQLITE_FULL:
        return DiskFullError(
            f"no space left where {path} lies", "free some space, or shrink the store: offload gc --max-size SIZE"
        )
    if kind in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return NotWritableError(
            f"{what} {path} cannot be opened for writing: {error}",
            "check its owner and mode and those of its directory, or set OFFLOAD_HOME to another place",
        )
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        return StorageError(
            f"{what} {path} was locked by another process for more than {wait:.0f} s",
            f"see which processes have it open: fuser -v {path}",
        )
    if kind == sqlite3.SQLITE_IOERR and _free(path) < _NEEDED:
        return DiskFullError(f"no space left where {path} lies", "free some space, or: offload gc --max-size SIZE")
    if kind == sqlite3.SQLITE_IOERR:
        return StorageError(f"{what} {path} cannot be read or written: {error}", "check the disk")
    return error


def _free(path: str) -> int:
    """Give the bytes that are free where a file lies."""
    try:
        room = os.statvfs(os.path.dirname(path))
    except OSError:
        return _NEEDED
    return room.f_bavail * room.f_frsize
