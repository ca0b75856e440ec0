"""Transactions of a SQLite file as ``with`` statements."""

from __future__ import annotations

import sqlite3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from types import TracebackType

    from offload.storage.sqlitefile import SqliteFile


class Transaction:
    """A transaction of one SQLite file; see `SqliteFile.reading` and `SqliteFile.writing`."""

    __slots__ = ("_begin", "_connection", "_file", "_turn")

    def __init__(self, file: SqliteFile, begin: str, turn: LockType | None = None) -> None:
        self._file = file
        self._begin = begin
        self._turn = turn

    def __enter__(self) -> sqlite3.Connection:
        if self._turn is not None:
            self._turn.acquire()
        try:
            self._connection = self._file.take()
            try:
                self._connection.execute(self._begin)
            except sqlite3.Error as error:
                self._file.give_back(self._connection)
                raise self._file.translated(error) from error
        except BaseException:
            if self._turn is not None:
                self._turn.release()
            raise
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection = self._connection
        try:
            if error is None:
                connection.execute("COMMIT")
            elif isinstance(error, sqlite3.Error):
                raise self._file.translated(error) from error
        except sqlite3.Error as failure:
            raise self._file.translated(failure) from failure
        finally:
            # SQLite has rolled back by itself after some errors.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._file.give_back(connection)
            if self._turn is not None:
                self._turn.release()
