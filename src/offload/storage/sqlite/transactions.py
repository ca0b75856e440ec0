"""Transactions of a SQLite file as ``with`` statements."""

from __future__ import annotations

import sqlite3
import time

from offload.storage.sqlite.schema import code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from offload.storage.sqlite.file import SqliteFile

_PAUSE = 0.001  # seconds between two attempts to write


class Reading:
    """A transaction that reads one state of the file; see `SqliteFile.reading`."""

    __slots__ = ("_connection", "_file")

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def __enter__(self) -> sqlite3.Connection:
        self._connection = self._file.take()
        try:
            self._connection.execute("BEGIN")
        except BaseException as error:
            self._file.give_back(self._connection)
            if isinstance(error, sqlite3.Error):
                raise self._file.translated(error) from error
            raise
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # SQLite has rolled back by itself after some errors.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        finally:
            self._file.give_back(self._connection)
        if isinstance(error, sqlite3.Error):
            raise self._file.translated(error) from error


class Writing:
    """A transaction that writes; see `SqliteFile.writing`."""

    __slots__ = ("_connection", "_file")

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def __enter__(self) -> sqlite3.Connection:
        self._file.turn.acquire()
        try:
            self._connection = self._file.take_writer()
            try:
                self._run("BEGIN IMMEDIATE")
            except BaseException:
                self._file.give_back_writer(self._connection)
                raise
        except BaseException:
            self._file.turn.release()
            raise
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._run("COMMIT")
            elif isinstance(error, sqlite3.Error):
                raise self._file.translated(error) from error
        finally:
            # SQLite has rolled back by itself after some errors.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._file.give_back_writer(self._connection)
            self._file.turn.release()

    def _run(self, statement: str) -> None:
        """Run a statement that may have to wait for other processes.

        SQLite's own waiting sleeps longer each time, so that a process that writes without pause shuts others out.
        """
        deadline = 0.0
        while True:
            try:
                self._connection.execute(statement)
                return
            except sqlite3.Error as error:
                deadline = deadline or time.monotonic() + self._file.wait
                if code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL) or time.monotonic() > deadline:
                    raise self._file.translated(error) from error
            time.sleep(_PAUSE)
