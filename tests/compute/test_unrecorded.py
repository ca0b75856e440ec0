"""When storage is in trouble: the value is given back, or one clear error says what to do."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import offload
from offload.errors import DamagedError, NotRecordedWarning, StorageError
from offload.registry import session
from tests.compute.conftest import Log
from tests.compute.test_calls import echo
from tests.requirements import requires, requires_program, requires_root

pytestmark = pytest.mark.usefixtures("home")


def reopen() -> session.Session:
    session.close_sessions()
    return session.current()


def test_a_home_below_a_file(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OFFLOAD_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(StorageError) as caught:
        echo(log.path, 1)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 3
    assert log.runs == 0


def test_a_damaged_database(log: Log, home: Path) -> None:
    echo(log.path, 1)
    session.close_sessions()
    for path in home.glob("database.sqlite*"):
        path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(DamagedError, match=r"database\.sqlite") as caught:
        echo(log.path, 1)
    assert caught.value.hint
    assert log.runs == 1


@pytest.mark.parametrize("size", [10, 300_000], ids=["packed", "file"])
def test_a_corrupt_buffer_is_computed_again(log: Log, home: Path, size: int) -> None:
    value = b"v" * size
    echo(log.path, value)
    result = session.current().database.runs()[0].result
    session.close_sessions()
    if size > 100_000:
        path = home / "store" / "buffers" / result[:2] / result
        path.chmod(0o644)
        path.write_bytes(b"w" + path.read_bytes()[1:])
    else:
        with contextlib.closing(sqlite3.connect(home / "store" / "index.sqlite")) as connection:
            data = connection.execute("SELECT data FROM packed").fetchall()
            assert len(data) > 1
            connection.execute("UPDATE packed SET data = CAST(replace(CAST(data AS TEXT), 'vvvv', 'wwww') AS BLOB)")
            connection.commit()
    assert echo(log.path, value) == value
    assert log.runs == 2
    assert reopen().store.get([result]) != [None]
    assert echo(log.path, value) == value
    assert log.runs == 2


@offload.task
def counted(log: str) -> int:
    with open(log, "ab") as file:
        file.write(b".")
        return file.tell()


def test_a_lost_buffer_is_computed_again_and_the_row_replaced(log: Log) -> None:
    assert counted(log.path) == 1
    now = session.current()
    (first,) = now.database.runs()
    now.store.delete([first.result])
    assert counted(log.path) == 2
    assert counted(log.path) == 2
    assert log.runs == 2
    assert [run.outcome for run in now.database.runs()] == ["replaced", "recorded"]


def test_gc_takes_a_result(log: Log) -> None:
    echo(log.path, 1)
    session.current().store.collect(0)
    reopen()
    assert [echo(log.path, 1), echo(log.path, 1)] == [1, 1]
    assert log.runs == 2


def test_a_result_that_differs_is_kept_apart(log: Log) -> None:
    assert counted(log.path) == 1
    now = session.current()
    call = counted.identify((log.path,), {})
    # Two processes that both found nothing compute both; the first that records wins.
    assert counted._compute(now, call) == 2
    assert counted(log.path) == 1
    assert [run.outcome for run in now.database.runs()] == ["irreproducible", "recorded"]


class Failing:
    """A store or database of which one method fails."""

    def __init__(self, real: Any, method: str, error: Exception) -> None:
        self.real, self.method, self.error = real, method, error

    def __getattr__(self, name: str) -> Any:
        if name == self.method:
            raise self.error
        return getattr(self.real, name)


@pytest.mark.parametrize(("part", "method"), [("store", "put"), ("database", "record")])
def test_what_cannot_be_stored_is_returned(log: Log, part: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = session.current()
    with monkeypatch.context() as patch:
        patch.setattr(now, part, Failing(getattr(now, part), method, StorageError("the disk is full", "free some")))
        with pytest.warns(NotRecordedWarning, match="the disk is full"):
            assert echo(log.path, 5) == 5
    assert [echo(log.path, 5), echo(log.path, 5)] == [5, 5]
    assert log.runs == 2


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home on a file system of 4 MB."""
    requires_root()
    requires_program("mount")
    path = tmp_path / "mounted"
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", path], capture_output=True, text=True)
    requires(done.returncode == 0, f"needs to mount a tmpfs: {done.stderr.strip()}")
    monkeypatch.setenv("OFFLOAD_HOME", str(path / "home"))
    try:
        yield path
    finally:
        session.close_sessions()
        subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.real
@pytest.mark.parametrize("size", [20_000, 2_000_000], ids=["packed", "file"])
def test_the_disk_is_full(log: Log, mounted: Path, size: int) -> None:
    value = os.urandom(size)
    assert echo(log.path, 0) == 0
    filler = mounted / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.warns(NotRecordedWarning, match="(?i)space|full"):
        assert echo(log.path, value) == value
    assert echo(log.path, 0) == 0
    filler.unlink()
    assert echo(log.path, value) == echo(log.path, value) == value
    assert log.runs == 3


@pytest.mark.real
def test_a_home_that_cannot_be_written(log: Log, mounted: Path) -> None:
    assert echo(log.path, 0) == 0
    session.close_sessions()
    subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
    assert echo(log.path, 0) == 0
    with pytest.warns(NotRecordedWarning, match="not recorded"):
        assert echo(log.path, 1) == 1
    assert log.runs == 2


@pytest.mark.real
def test_a_new_home_that_cannot_be_made(log: Log, mounted: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
    with pytest.raises(StorageError, match=r"cannot be written|read-only") as caught:
        echo(log.path, 1)
    assert caught.value.hint
    assert log.runs == 0
