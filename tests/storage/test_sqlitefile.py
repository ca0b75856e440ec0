"""Files of SQLite: versions, damage, locks, forks, places that cannot be written."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from offload.errors import DamagedError, NotWritableError, StorageError
from offload.storage.local.database import SqliteDatabase
from offload.storage.local.pruning import shrink
from offload.storage.sqlite import schema
from offload.storage.sqlite.file import SqliteFile, Writing
from tests.storage.test_database_contract import entry, name

FIRST = "CREATE TABLE word (text TEXT PRIMARY KEY); INSERT INTO word VALUES ('one')"
SECOND = "ALTER TABLE word ADD COLUMN length INTEGER; UPDATE word SET length = length(text)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.sqlite"


@pytest.fixture
def file(path: Path) -> Iterator[SqliteFile]:
    file = make(path)
    yield file
    file.close()


def make(path: Path, *migrations: str) -> SqliteFile:
    return SqliteFile(str(path), migrations or (FIRST,), "the word list", "words are lost")


def version(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def test_an_older_file_is_migrated(file: SqliteFile, path: Path) -> None:
    assert file.query("SELECT * FROM word") == [("one",)]
    assert version(path) == 1
    newer = make(path, FIRST, SECOND)
    assert newer.query("SELECT * FROM word") == [("one", 3)]
    assert version(path) == 2
    newer.close()


def test_a_newer_file_is_refused(path: Path) -> None:
    newer = make(path, FIRST, SECOND)
    newer.query("SELECT 1")
    newer.close()
    with pytest.raises(StorageError, match=r"the word list .* newer offload \(schema 2; this one knows 1\)"):
        make(path).query("SELECT 1")
    assert version(path) == 2


def test_a_migration_that_fails_changes_nothing(file: SqliteFile, path: Path) -> None:
    file.query("SELECT 1")
    broken = make(path, FIRST, "CREATE TABLE other (x); CREATE TABLE word (x)")
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        broken.query("SELECT 1")
    assert file.query("SELECT name FROM sqlite_master WHERE type = 'table'") == [("word",)]
    assert version(path) == 1


def test_wal_on_a_local_file_system_and_not_on_a_network(
    file: SqliteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert file.query("PRAGMA journal_mode") == [("wal",)]
    assert file.query("PRAGMA synchronous") == [(1,)]
    monkeypatch.setattr(schema, "on_network", lambda path: path == str(tmp_path / "net"))
    remote = make(tmp_path / "net" / "file.sqlite")
    assert remote.query("PRAGMA journal_mode") == [("delete",)]
    assert remote.query("PRAGMA synchronous") == [(2,)]
    remote.close()


def test_garbage_is_damage(path: Path) -> None:
    path.write_bytes(b"these bytes are no database at all " * 100)
    with pytest.raises(DamagedError, match=r"the word list .*file\.sqlite is damaged") as caught:
        make(path).query("SELECT * FROM word")
    assert caught.value.exit_code == 3
    assert f"mv {path} {path}.damaged; words are lost" in (caught.value.hint or "")


def test_a_file_cut_short_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "database.sqlite"
    with SqliteDatabase(str(path)) as database:
        database.record([entry(number) for number in range(200)])
    os.truncate(path, 3 * 4096)
    with SqliteDatabase(str(path)) as database, pytest.raises(DamagedError, match=r"damaged: .*malformed"):
        database.record([entry(number) for number in range(200)])


def test_damage_while_reading_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "database.sqlite"
    with SqliteDatabase(str(path)) as database:
        database.record([entry(number) for number in range(200)])
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with SqliteDatabase(str(path)) as database:
        with pytest.raises(DamagedError):
            database.lookup([name(1)])
        with pytest.raises(DamagedError):
            database.lookup([name(1), name(2)])


def test_a_directory_in_the_way(path: Path) -> None:
    path.mkdir()
    with pytest.raises(NotWritableError, match="cannot be opened"):
        make(path).query("SELECT 1")


def test_a_file_where_the_directory_should_be(path: Path) -> None:
    path.write_text("")
    with pytest.raises(StorageError):
        make(path / "file.sqlite").query("SELECT 1")


def test_a_closed_file_stays_closed(file: SqliteFile) -> None:
    file.query("SELECT 1")
    file.close()
    with pytest.raises(StorageError, match="closed"):
        file.query("SELECT 1")


def test_a_transaction_is_kept_whole_or_not_at_all(file: SqliteFile) -> None:
    def write(after: Callable[[sqlite3.Connection], object]) -> None:
        with file.writing() as connection:
            connection.execute("INSERT INTO word VALUES ('two')")
            after(connection)

    with pytest.raises(ZeroDivisionError):
        write(lambda connection: 1 // 0)
    with pytest.raises(sqlite3.IntegrityError):
        write(lambda connection: connection.execute("INSERT INTO word VALUES ('one')"))
    assert file.query("SELECT * FROM word") == [("one",)]
    with file.writing() as connection:
        connection.execute("INSERT INTO word VALUES ('two')")
    assert file.query("SELECT * FROM word") == [("one",), ("two",)]


def test_a_reading_transaction_sees_one_state(file: SqliteFile) -> None:
    with file.reading() as connection:
        assert connection.execute("SELECT count(*) FROM word").fetchone() == (1,)
        with file.writing() as other:
            other.execute("INSERT INTO word VALUES ('two')")
        assert connection.execute("SELECT count(*) FROM word").fetchone() == (1,)


class Failing(sqlite3.Connection):
    """A connection on a disk that fails when a transaction begins."""

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        if statement == "BEGIN":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        return super().execute(statement, *parameters)


def test_a_reading_transaction_that_cannot_begin_gives_its_connection_back(file: SqliteFile, path: Path) -> None:
    connection = sqlite3.connect(path, factory=Failing, isolation_level=None)
    file.give_back(connection)
    with pytest.raises(StorageError, match="cannot be read or written"), file.reading():
        pass
    assert file.take() is connection
    connection.close()


def test_a_reading_transaction_that_sqlite_ended_gives_its_connection_back(file: SqliteFile) -> None:
    with file.reading() as connection:
        connection.execute("ROLLBACK")
    assert file.take() is connection
    connection.close()


def test_an_attempt_does_not_wait(file: SqliteFile) -> None:
    assert file.attempt("INSERT INTO word VALUES (?)", [("two",)])
    with file.writing():
        assert not file.attempt("INSERT INTO word VALUES (?)", [("three",)])
    other = sqlite3.connect(file.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert not file.attempt("INSERT INTO word VALUES (?)", [("three",)])
    other.execute("ROLLBACK")
    other.close()
    assert file.query("PRAGMA busy_timeout") == [(60_000,)]
    assert file.query("SELECT count(*) FROM word") == [(2,)]


def test_waiting_for_another_process_has_an_end(file: SqliteFile) -> None:
    file.wait = 0.05
    file.query("SELECT 1")
    other = sqlite3.connect(file.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="locked by another process") as caught, file.writing():
        pass
    assert "fuser" in (caught.value.hint or "")
    other.execute("ROLLBACK")
    other.close()
    with file.writing() as connection:
        connection.execute("INSERT INTO word VALUES ('two')")


def test_threads_write_in_turn(file: SqliteFile) -> None:
    def write(number: int) -> None:
        for i in range(20):
            with file.writing() as connection:
                connection.execute("INSERT INTO word VALUES (?)", (f"{number} {i}",))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.query("SELECT count(*) FROM word") == [(121,)]


FORKED = """
import os, sys, threading
from offload.storage.sqlite.file import SqliteFile

file = SqliteFile(sys.argv[1], ("CREATE TABLE word (text TEXT)",), "the word list", "")

def write(text):
    with file.writing() as connection:
        connection.execute("INSERT INTO word VALUES (?)", (text,))

def busy():
    while not done.is_set():
        write("thread")

write("before")
done = threading.Event()
thread = threading.Thread(target=busy)
thread.start()
children = []
for number in range(10):
    child = os.fork()
    if child == 0:
        assert not file._idle
        for _ in range(20):
            write("child")
        file.close()
        os._exit(0)
    write("parent")
    children.append(child)
codes = [os.waitpid(child, 0)[1] for child in children]
done.set()
thread.join()
print(codes, file.query("SELECT count(*) FROM word WHERE text = 'child'"), file.query("PRAGMA integrity_check"))
"""


def test_forked_processes_open_their_own_connections(path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, path], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.stdout, ended.stderr) == (f"{[0] * 10} [(200,)] [('ok',)]\n", "")


FORKED_WHILE_BUSY = """
import os, sys, threading
from offload.errors import StorageError
from offload.storage.sqlite import file as sqlitefile

sqlitefile.BUSY_SECONDS = 0.1
file = sqlitefile.SqliteFile(sys.argv[1], ("CREATE TABLE word (text TEXT)",), "the word list", "")
file.wait = 60.0
started, done = threading.Event(), threading.Event()

def write():
    with file.writing() as connection:
        connection.execute("INSERT INTO word VALUES ('thread')")
        started.set()
        done.wait()

thread = threading.Thread(target=write)
thread.start()
started.wait()
child = os.fork()
if child == 0:
    try:
        file.query("SELECT * FROM word")
    except StorageError as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
done.set()
thread.join()
print(file.query("SELECT * FROM word"))
"""


def test_a_process_forked_from_the_midst_of_a_statement_is_refused(path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED_WHILE_BUSY, path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        f"the word list {path} was in use by another thread when this process was forked: spawn processes instead",
        "[('thread',)]",
    ]


def test_a_connection_in_use_is_closed_when_it_is_given_back(file: SqliteFile) -> None:
    with file.reading() as connection:
        file.close()
        assert connection.execute("SELECT * FROM word").fetchall() == [("one",)]
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_the_file_and_its_logs_are_for_their_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "open"
    directory.mkdir(0o755)
    mask = os.umask(0)
    try:
        made = make(directory / "x.sqlite")
        with made.writing() as connection:
            connection.execute("INSERT INTO word VALUES ('two')")
        modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    finally:
        os.umask(mask)
    assert modes == {"x.sqlite": 0o600, "x.sqlite-wal": 0o600, "x.sqlite-shm": 0o600}
    made.close()


def test_pages_are_given_back_many_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[None] = []
    file = SqliteFile(str(tmp_path / "file"), ("CREATE TABLE one (data BLOB);",), "the file", "nothing")
    with file.writing() as connection:
        connection.executemany("INSERT INTO one VALUES (?)", ((bytes(4000),) for _ in range(2500)))
    with file.writing() as connection:
        connection.execute("DELETE FROM one")
    start = Writing.__enter__

    def count(self: Writing) -> sqlite3.Connection:
        begun.append(None)
        return start(self)

    monkeypatch.setattr(Writing, "__enter__", count)
    shrink(file)
    assert file.query("PRAGMA freelist_count") == [(0,)]
    assert len(begun) == 3
    file.close()
    assert (tmp_path / "file").stat().st_size < 20_000
