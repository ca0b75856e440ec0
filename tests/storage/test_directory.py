"""What the directory store does beyond the contract: its files, corruption, crashes, leases of the dead."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from offload.errors import BufferMissingError, DiskFullError, StorageError
from offload.identity.checksums import BLOCK, checksum
from offload.storage.local import incoming
from offload.storage.local.store import DirectoryStore
from offload.storage.sqlite.file import Writing
from offload.storage.store import PACKED
from offload.util import filesystems
from tests.storage.conftest import Clock

LARGE = Random(2).randbytes(BLOCK + 1000)
NAME = checksum(LARGE)
SMALL = b"small buffer"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DirectoryStore]:
    with DirectoryStore(str(tmp_path / "store")) as store:
        yield store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def place(path: Path) -> Path:
    return path / "buffers" / NAME[:2] / NAME


def flip(file: Path, offset: int) -> None:
    file.chmod(0o644)
    with file.open("r+b") as opened:
        opened.seek(offset)
        byte = opened.read(1)
        opened.seek(offset)
        opened.write(bytes([byte[0] ^ 1]))


def execute(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path / "index.sqlite", isolation_level=None)
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def test_small_buffers_are_packed_and_large_ones_are_files(store: DirectoryStore, path: Path) -> None:
    store.put([SMALL, LARGE])
    assert place(path).read_bytes() == LARGE
    assert stat.S_IMODE(place(path).stat().st_mode) == 0o444
    assert [file.name for file in path.glob("buffers/*/*")] == [NAME]
    assert os.listdir(path / "tmp") == []


def test_buffers_survive_the_process(store: DirectoryStore, path: Path) -> None:
    names = store.put([SMALL, LARGE])
    store.close()
    with DirectoryStore(str(path)) as again:
        assert again.get(names) == [SMALL, LARGE]


def test_opening_a_store_that_exists_writes_nothing(store: DirectoryStore, path: Path) -> None:
    [name] = store.put([SMALL])
    store.close()
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*") if file.is_file()}
    with DirectoryStore(str(path)) as again:
        assert again.get([name]) == [SMALL]
        assert not (path / "index.sqlite-wal").exists() or (path / "index.sqlite-wal").stat().st_size == 0
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*") if file.is_file()} == before


def test_a_buffer_that_is_there_is_not_written_again(store: DirectoryStore, path: Path) -> None:
    store.put([LARGE])
    before = place(path).stat().st_ino
    store.put([LARGE])
    store.put_stream([LARGE])
    assert place(path).stat().st_ino == before
    assert os.listdir(path / "tmp") == []


@pytest.mark.parametrize("offset", [0, BLOCK - 1, BLOCK, len(LARGE) - 1])
def test_a_corrupt_file_is_set_aside_and_missing(store: DirectoryStore, path: Path, offset: int) -> None:
    store.put([LARGE])
    flip(place(path), offset)
    assert store.get([NAME]) == [None]
    assert store.has([NAME]) == [False]
    assert not place(path).exists()
    assert (path / "corrupt" / NAME).exists()
    assert store.usage().corrupt == 1
    assert store.put([LARGE]) == [NAME]
    assert store.get([NAME]) == [LARGE]


def test_a_corrupt_file_is_found_by_readers_and_extract(store: DirectoryStore, path: Path, tmp_path: Path) -> None:
    store.put([LARGE])
    flip(place(path), BLOCK + 5)
    with pytest.raises(BufferMissingError, match="corrupt"):
        store.extract(NAME, str(tmp_path / "file"))
    assert not (tmp_path / "file").exists()
    assert store.has([NAME]) == [False]
    assert sorted(os.listdir(tmp_path)) == ["store"]


def test_a_file_cut_short_is_corrupt(store: DirectoryStore, path: Path) -> None:
    store.put([LARGE])
    place(path).chmod(0o644)
    os.truncate(place(path), BLOCK)
    with store.open(NAME) as reader:
        assert reader.read(BLOCK) == LARGE[:BLOCK]
        with pytest.raises(BufferMissingError, match="corrupt"):
            reader.read()


def damage(file: Path, how: str) -> None:
    file.chmod(0o644)
    if how == "emptied":
        os.truncate(file, 0)
    elif how == "cut":
        os.truncate(file, file.stat().st_size - 1)
    elif how == "longer":
        with file.open("ab") as opened:
            opened.write(b"more")
    elif how == "flipped":
        flip(file, BLOCK + 7)
    else:
        file.unlink()


@pytest.mark.parametrize("how", ["emptied", "cut", "longer", "flipped", "removed"])
@pytest.mark.parametrize("way", ["bytes", "chunks", "views", "stream", "file"])
def test_good_bytes_that_are_put_over_damage_are_kept(
    store: DirectoryStore, path: Path, tmp_path: Path, way: str, how: str
) -> None:
    store.put([LARGE])
    damage(place(path), how)
    if way == "bytes":
        store.put([LARGE])
    elif way == "chunks":
        store.put([[LARGE[:1000], LARGE[1000:]]])
    elif way == "views":
        store.put([[memoryview(LARGE)]])
    elif way == "stream":
        store.put_stream([LARGE], NAME)
    else:
        (tmp_path / "file").write_bytes(LARGE)
        store.put_file(str(tmp_path / "file"))
    assert store.get([NAME]) == [LARGE]
    with store.open(NAME) as reader:
        assert reader.read() == LARGE
    assert os.listdir(path / "tmp") == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("damaged", [b"Small buffer", b"", b"small buffer and more"])
def test_good_bytes_that_are_put_over_a_damaged_packed_buffer_are_kept(
    store: DirectoryStore, path: Path, damaged: bytes, stream: bool
) -> None:
    [name] = store.put([SMALL])
    execute(path, "UPDATE packed SET data = ?", damaged)
    if stream:
        store.put_stream([SMALL])
    else:
        store.put([SMALL])
    assert store.get([name]) == [SMALL]
    assert execute(path, "SELECT count(*) FROM packed") == [(1,)]


@pytest.mark.parametrize("how", ["emptied", "cut", "longer"])
def test_a_file_of_another_size_counts_as_missing(store: DirectoryStore, path: Path, how: str) -> None:
    store.put([LARGE])
    damage(place(path), how)
    assert store.has([NAME]) == [False]
    assert (path / "corrupt" / NAME).exists()
    assert execute(path, "SELECT * FROM buffer") == []


def test_a_corrupt_packed_buffer_is_set_aside_and_missing(store: DirectoryStore, path: Path) -> None:
    [name, other] = store.put([SMALL, b"other"])
    execute(path, "UPDATE packed SET data = ? WHERE data = ?", b"Small buffer", SMALL)
    assert store.get([name, other]) == [None, b"other"]
    assert store.has([name]) == [False]
    assert (path / "corrupt" / name).read_bytes() == b"Small buffer"
    with pytest.raises(BufferMissingError):
        store.open(name)
    assert store.put([SMALL]) == [name]
    assert store.get([name]) == [SMALL]


def test_a_row_without_its_file_is_dropped(store: DirectoryStore, path: Path) -> None:
    questions: list[Callable[[list[str]], object]] = [store.has, store.sizes, store.get]
    for question, answer in zip(questions, ([False], [None], [None]), strict=True):
        store.put([LARGE])
        place(path).unlink()
        assert question([NAME]) == answer
        assert execute(path, "SELECT * FROM buffer") == []
    store.put([LARGE])
    place(path).unlink()
    with pytest.raises(BufferMissingError):
        store.open(NAME)
    store.put([LARGE])
    place(path).unlink()
    store.put([LARGE])
    assert store.get([NAME]) == [LARGE]


def test_a_file_without_a_row_is_adopted(store: DirectoryStore, path: Path) -> None:
    store.put([LARGE])
    execute(path, "DELETE FROM buffer")
    assert store.has([NAME]) == [False]
    store.put([LARGE])
    assert store.get([NAME]) == [LARGE]


def test_what_crashed_processes_left_is_swept_when_old(path: Path) -> None:
    clock = Clock()
    clock.now = (path.parent.stat().st_ctime) + 80_000
    with DirectoryStore(str(path), clock) as store:
        store.put([LARGE])
        execute(path, "DELETE FROM buffer")
        flip(place(path), 7)
        (path / "tmp" / "left").write_bytes(b"half")
        store.collect(10**9)
        assert (path / "tmp" / "left").exists() and place(path).exists()
        clock.now += 10_000
        store.collect(10**9)
        assert not (path / "tmp" / "left").exists() and not place(path).exists()
        store.put([LARGE])
        clock.now += 100_000
        store.collect(10**9)
        assert store.get([NAME]) == [LARGE]


def test_a_temp_file_that_is_gone_when_it_is_needed(store: DirectoryStore, path: Path) -> None:
    def chunks(ends_well: bool) -> Iterator[bytes]:
        yield LARGE
        for left in (path / "tmp").iterdir():
            left.unlink()
        if not ends_well:
            raise KeyError("what went wrong")

    with pytest.raises(StorageError, match="was removed meanwhile") as caught:
        store.put_stream(chunks(True))
    assert caught.value.hint is not None
    with pytest.raises(KeyError, match="what went wrong"):
        store.put_stream(chunks(False))
    assert store.usage().buffers == 0
    assert store.put_stream([LARGE]) == NAME
    assert store.get([NAME]) == [LARGE]


def test_two_may_collect_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The other is always first: a file that was listed is gone when it is this one's turn.
    def first_another_one(file: str) -> None:
        unlink(file)
        unlink(file)

    unlink = os.unlink
    clock = Clock()
    with DirectoryStore(str(path), clock) as store:
        store.put([LARGE])
        clock.now = path.stat().st_ctime + 100_000
        execute(path, "DELETE FROM buffer")
        flip(place(path), 7)
        (path / "tmp" / "left").write_bytes(b"half")
        monkeypatch.setattr(os, "unlink", first_another_one)
        assert store.collect(0).leftovers == 0
        assert not place(path).exists() and not (path / "tmp" / "left").exists()


def test_collecting_gives_space_back(store: DirectoryStore, path: Path) -> None:
    store.put([Random(number).randbytes(PACKED - 1) for number in range(100)])
    store.collect(10**9)
    before = (path / "index.sqlite").stat().st_size
    store.collect(0)
    assert before > 6_000_000
    assert (path / "index.sqlite").stat().st_size < 200_000
    assert store.usage().buffers == 0


def test_use_is_noted_at_most_once_an_hour(path: Path) -> None:
    clock = Clock()
    with DirectoryStore(str(path), clock) as store:
        [name] = store.put([SMALL])
        first = clock.now
        clock.now += 3000
        store.get([name])
        assert execute(path, "SELECT used FROM buffer") == [(first,)]
        clock.now += 3000
        store.get([name])
        assert execute(path, "SELECT used FROM buffer") == [(clock.now,)]


def test_reading_never_waits_for_a_writer(path: Path) -> None:
    clock = Clock()
    with DirectoryStore(str(path), clock) as store:
        [name] = store.put([SMALL])
        clock.now += 7200
        writer = sqlite3.connect(path / "index.sqlite", isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE buffer SET size = 0")
        assert store.get([name]) == [SMALL]
        assert store.sizes([name]) == [len(SMALL)]
        writer.execute("ROLLBACK")
        writer.close()
        store.get([name])
        assert execute(path, "SELECT used FROM buffer") == [(clock.now,)]


def test_the_lease_of_a_dead_process_does_not_count(store: DirectoryStore, path: Path) -> None:
    [mine, theirs] = store.put([b"mine", b"theirs"])
    program = (
        "import os, sys\n"
        "from offload.storage.local.store import DirectoryStore\n"
        "DirectoryStore(sys.argv[1]).lease([sys.argv[2]])\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, path, theirs], check=True, timeout=60)
    assert len(execute(path, "SELECT * FROM lease")) == 1
    with store.lease([mine]):
        assert store.collect(0).buffers == 1
        assert store.has([mine, theirs]) == [True, False]
        assert len(execute(path, "SELECT * FROM lease")) == 1


def test_the_lease_of_another_host_counts_until_it_expires(path: Path) -> None:
    clock = Clock()
    with DirectoryStore(str(path), clock) as store:
        [name] = store.put([SMALL])
        lease = store.lease([name], seconds=50)
        execute(path, "UPDATE holder SET host = 'elsewhere', pid = 1, started = '1'")
        assert store.collect(0).leased == 1
        clock.now += 51
        assert store.collect(0).buffers == 1
        lease.release()


def test_a_process_id_that_was_used_again_is_another_process(store: DirectoryStore, path: Path) -> None:
    [name] = store.put([SMALL])
    lease = store.lease([name])
    assert store.collect(0).leased == 1
    execute(path, "UPDATE holder SET started = '1'")
    assert store.collect(0).buffers == 1
    lease.release()


def test_reading_a_large_buffer_writes_nothing(store: DirectoryStore, path: Path, tmp_path: Path) -> None:
    store.put([LARGE])
    writer = sqlite3.connect(path / "index.sqlite", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with store.open(NAME) as reader:
        assert reader.read() == LARGE
    store.extract(NAME, str(tmp_path / "file"))
    writer.close()


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_a_disk_that_fills_up_leaves_nothing_behind(
    store: DirectoryStore, path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [name] = store.put([SMALL])
    with monkeypatch.context() as patched:
        patched.setattr(os, step, full)
        with pytest.raises(DiskFullError, match="no space"):
            store.put([b"new", LARGE])
    assert os.listdir(path / "tmp") == []
    assert not list(path.glob("buffers/*/*"))
    assert store.has([name, checksum(b"new"), NAME]) == [True, False, False]
    store.put([LARGE])
    assert store.get([NAME]) == [LARGE]


def test_an_index_that_cannot_grow_keeps_nothing(store: DirectoryStore, path: Path) -> None:
    store.put([SMALL])
    connection = store._index.file.take_writer()
    connection.execute("PRAGMA max_page_count = 1")
    store._index.file.give_back_writer(connection)
    with pytest.raises(DiskFullError):
        store.put([Random(1).randbytes(PACKED - 1) for _ in range(3)] + [LARGE])
    assert not list(path.glob("buffers/*/*"))
    assert os.listdir(path / "tmp") == []
    assert store.usage().buffers == 1


def test_a_row_that_cannot_be_committed_takes_its_file_along(
    store: DirectoryStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Writing.__exit__

    def fail(self: Writing, *_: object) -> None:
        monkeypatch.undo()
        error = DiskFullError("no space left")
        ended(self, type(error), error, None)
        raise error

    store.put([SMALL])
    monkeypatch.setattr(Writing, "__exit__", fail)
    with pytest.raises(DiskFullError):
        store.put([LARGE])
    assert not list(path.glob("buffers/*/*"))
    assert os.listdir(path / "tmp") == []
    assert store.put([LARGE]) == [NAME]


def test_files_share_blocks_where_they_can(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = []

    def reflink(source: int, target: int) -> bool:
        copied.append(os.pwrite(target, os.pread(source, len(LARGE), 0), 0))
        return True

    monkeypatch.setattr(incoming, "reflink", reflink)
    monkeypatch.setattr("offload.storage.user_files.reflink", reflink)
    (tmp_path / "file").write_bytes(LARGE)
    assert store.put_file(str(tmp_path / "file")) == NAME
    store.extract(NAME, str(tmp_path / "copy"))
    assert copied == [len(LARGE)] * 2
    assert (tmp_path / "copy").read_bytes() == LARGE
    assert store.get([NAME]) == [LARGE]


def test_reflink_says_when_the_file_system_cannot(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(LARGE)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb") as target:
        shared = filesystems.reflink(source.fileno(), target.fileno())
    assert (tmp_path / "target").read_bytes() == (LARGE if shared else b"")
    reading, writing = os.pipe()
    assert not filesystems.reflink(reading, writing)
    os.close(reading)
    os.close(writing)


def test_without_sync_the_same_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", full)
    with DirectoryStore(str(path), sync=False) as store:
        store.put([LARGE])
        assert store.get([NAME]) == [LARGE]
