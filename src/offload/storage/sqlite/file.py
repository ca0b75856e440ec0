"""One SQLite file: its connections, its schema version, and its errors in plain words.

Connections wait in a list; whoever runs a statement takes one out and puts it back, so any number of threads may read
at once and none pays for a lock. One more connection writes; the threads of a process take turns with it. SQLite must
not be carried through a fork, so all connections are closed just before one, and opened again when needed.
"""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from _thread import allocate_lock

from offload.errors import StorageError
from offload.storage.sqlite.schema import code, prepare
from offload.util.filesystems import sync_directory, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType
    from typing import Any

BUSY_SECONDS = 60.0
"""How long a statement waits for other processes before it fails."""

_PAUSE = 0.001  # seconds between two attempts to write
_CHUNK = 500  # keys of one IN (...): measured, larger is no faster; every SQLite takes 999


class SqliteFile:
    """A SQLite file with a versioned schema, made when it does not exist.

    Nothing is opened before the first statement; opening a file that exists neither writes nor takes a write lock.

    Parameters
    ----------
    path : str
        The file. Its directory is made when missing.
    migrations : sequence of str
        Statements, each ended by a semicolon, that lead from schema version ``i`` to ``i + 1``.
    what : str
        What the file is to the user, for messages: "the database".
    loss : str
        What is lost when a damaged file is moved aside.
    """

    def __init__(self, path: str, migrations: Sequence[str], what: str, loss: str) -> None:
        self.path = path
        self.what = what
        self.wait = BUSY_SECONDS
        self._migrations = migrations
        self._loss = loss
        self._refusal = ""
        self._reset()

    def _reset(self) -> None:
        self._opened: set[sqlite3.Connection] = set()
        self._idle: list[sqlite3.Connection] = []
        self._resting: list[sqlite3.Connection] = []  # the one connection that writes, while nobody does
        self._named = 0  # the inode of the log, when its name is durable
        self.turn = allocate_lock()  # held by who writes

    # Statements

    def query(self, statement: str, parameters: Sequence[object] = ()) -> list[Any]:
        """Run one statement by itself and give its rows."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            return connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise self.translated(error) from error
        finally:
            self._idle.append(connection)

    def query_keys(self, statement: str, keys: Sequence[str]) -> list[Any]:
        """Run a SELECT for many keys, a few hundred at a time.

        Parameters
        ----------
        statement : str
            With ``IN ({})`` where the keys go.
        keys : sequence of str
            Any number; repeated ones give their row once per chunk.
        """
        connection = self.take()
        try:
            return self.select_keys(connection, statement, keys)
        except sqlite3.Error as error:
            raise self.translated(error) from error
        finally:
            self._idle.append(connection)

    @staticmethod
    def select_keys(connection: sqlite3.Connection, statement: str, keys: Sequence[str]) -> list[Any]:
        """Run a SELECT for many keys as `query_keys` does, on a connection of the caller's."""
        rows: list[Any] = []
        for start in range(0, len(keys), _CHUNK):
            part = keys[start : start + _CHUNK]
            rows += connection.execute(statement.format(",".join("?" * len(part))), part).fetchall()
        return rows

    def reading(self) -> Reading:
        """Read in one transaction, from one state of the file: ``with file.reading() as connection: ...``."""
        return Reading(self)

    def writing(self) -> Writing:
        """Start a write transaction: ``with file.writing() as connection: ...``; all of it or nothing is kept."""
        return Writing(self)

    def attempt(self, statement: str, rows: Iterable[Sequence[object]]) -> bool:
        """Write something of no great weight, now or not at all.

        Returns
        -------
        bool
            False when another writer is busy, or when the file cannot be written.
        """
        if not self.turn.acquire(blocking=False):
            return False
        connection = None
        try:
            connection = self.take_writer()
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(statement, rows)
                connection.execute("COMMIT")
                return True
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
        except sqlite3.Error as error:
            raise self.translated(error) from error
        finally:
            if connection is not None:
                self.give_back_writer(connection)
            self.turn.release()

    def make_durable(self) -> None:
        """Bring what has been committed to the disk, as a power loss would find it; others may write meanwhile.

        A log that is not there has been written back, which SQLite does durably, or is not used here.
        """
        # Unlike the file itself, its log is never locked: closing it here ends no lock of SQLite's.
        try:
            descriptor = os.open(self.path + "-wal", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        except OSError as error:
            raise translated(error, self.path) from error
        try:
            os.fsync(descriptor)
            inode = os.fstat(descriptor).st_ino
            if inode != self._named:  # SQLite makes the log anew, when it was closed by all
                sync_directory(os.path.dirname(self.path))
                self._named = inode
        except OSError as error:
            raise translated(error, self.path) from error
        finally:
            os.close(descriptor)

    # Connections

    def take(self) -> sqlite3.Connection:
        """Take a connection; the caller gives it back."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Put a taken connection back."""
        self._idle.append(connection)

    def take_writer(self) -> sqlite3.Connection:
        """Take the connection that writes; for who holds the turn. It does not wait for other processes by itself."""
        try:
            return self._resting.pop()
        except IndexError:
            connection = self._connect()
            # Without WAL, writing before the commit would have to wait for readers.
            connection.execute("PRAGMA cache_spill = OFF")
            # Batches of random checksums touch many pages: 32 MiB of them are kept.
            connection.execute("PRAGMA cache_size = -32768")
            connection.execute("PRAGMA busy_timeout = 0")
            return connection

    def give_back_writer(self, connection: sqlite3.Connection) -> None:
        """Put the connection that writes back."""
        self._resting.append(connection)

    def close(self) -> None:
        """Close the connections, those in use when they are given back. A closed file stays closed."""
        self._refusal = "has been closed"
        self._drain(self._retire())

    def _retire(self) -> tuple[list[sqlite3.Connection], ...]:
        """Let no connection wait from now on; give those that do."""
        waiting = self._idle, self._resting
        self._idle = self._resting = _Closing(self._opened)
        return waiting

    def _drain(self, waiting: Iterable[list[sqlite3.Connection]]) -> None:
        for connections in waiting:
            while connections:
                connection = connections.pop()
                connection.close()
                self._opened.discard(connection)

    def _connect(self) -> sqlite3.Connection:
        if self._refusal:
            raise StorageError(f"{self.what} {self.path} {self._refusal}")
        with _opening:
            try:
                connection = self._connected()
            except sqlite3.Error as error:
                raise self.translated(error) from error
            self._opened.add(connection)
            _files.add(self)
            return connection

    def _connected(self) -> sqlite3.Connection:
        if not os.path.exists(self.path):
            self._make()
        connection = _connection(self.path)
        try:
            return self._prepared(connection)
        except sqlite3.OperationalError as error:
            connection.close()
            if code(error) not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN) or not self._frozen():
                raise
            return self._read_only()
        except BaseException:
            connection.close()
            raise

    def _make(self) -> None:
        """Make the file, for its owner only, whatever the directory and the umask are; SQLite's logs do as it does."""
        directory = os.path.dirname(self.path)
        if not os.path.isdir(directory):
            try:
                os.makedirs(directory, 0o700, exist_ok=True)
            except OSError as error:
                raise translated(error, directory) from error
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError:  # SQLite says why it cannot be made
            return

    def _prepared(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        prepare(connection, self.path, self._migrations, self.what, self.wait)
        return connection

    def _frozen(self) -> bool:
        """Tell whether the file is there to be read, and nobody here can be writing to it."""
        log = self.path + "-wal"
        return (
            os.access(self.path, os.R_OK)
            and not os.access(os.path.dirname(self.path), os.W_OK)
            and not (os.path.exists(log) and os.path.getsize(log))
        )

    def _read_only(self) -> sqlite3.Connection:
        from urllib.parse import quote

        return self._prepared(_connection(f"file:{quote(self.path)}?mode=ro&immutable=1", uri=True))

    def translated(self, error: sqlite3.Error) -> Exception:
        """Turn an error of SQLite into the kind that a user can act on; programming errors stay what they are."""
        from offload.storage.sqlite.errors import plain

        return plain(error, self.path, self.what, self._loss, self.wait)


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


def close_all() -> None:
    """Close all files, for a process that is about to end: with its last connection, a log is written back."""
    for file in list(_files):
        file.close()


class _Closing(list[sqlite3.Connection]):
    """Stands in for a list of waiting connections when none shall wait: what is put into it is closed."""

    def __init__(self, opened: set[sqlite3.Connection]) -> None:
        super().__init__()
        self._opened = opened

    def append(self, connection: sqlite3.Connection) -> None:
        connection.close()
        self._opened.discard(connection)


def _connection(path: str, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=uri)


# Forks

_opening = allocate_lock()  # held while a connection is opened, and while this process forks
_files: weakref.WeakSet[SqliteFile] = weakref.WeakSet()
_inherited: list[sqlite3.Connection] = []  # never to be touched, not even closed


def _before_fork() -> None:
    _opening.acquire()
    deadline = time.monotonic() + BUSY_SECONDS
    for file in _files:
        waiting = file._retire()
        file._drain(waiting)
        while file._opened and time.monotonic() < deadline:
            time.sleep(0.001)
            file._drain(waiting)


def _after_in_parent() -> None:
    for file in _files:
        if not file._refusal:
            file._idle, file._resting = [], []
    _opening.release()


def _after_in_child() -> None:
    for file in _files:
        if file._opened:
            file._refusal = "was in use by another thread when this process was forked: spawn processes instead"
            _inherited.extend(file._opened)
        file._reset()
    _opening.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
