"""A disk that is away for a moment: nothing is forgotten, and what comes back is there."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from random import Random

import pytest

from offload.errors import BufferMissingError, StorageError
from offload.identity.checksums import BLOCK, checksum
from offload.storage.local.buffer_files import MARKER
from offload.storage.local.store import DirectoryStore
from offload.storage.store import Store
from tests.requirements import requires_root
from tests.storage.conftest import Clock
from tests.storage.service.serving import ServedStore
from tests.storage.test_real import in_own_mounts

LARGE = [Random(number).randbytes(BLOCK + 1000 * number) for number in range(5)]
NAMES = [checksum(data) for data in LARGE]
OTHER = Random(9).randbytes(BLOCK)
SMALL = b"small"


@contextmanager
def moved_away(buffers: Path) -> Iterator[None]:
    aside = buffers.parent.parent / "aside"
    os.rename(buffers, aside)
    yield
    if buffers.is_symlink() or buffers.is_file():
        buffers.unlink()
    elif buffers.exists():
        shutil.rmtree(buffers)
    os.rename(aside, buffers)


@contextmanager
def not_there(buffers: Path) -> Iterator[None]:
    with moved_away(buffers):
        yield


@contextmanager
def dangling_link(buffers: Path) -> Iterator[None]:
    with moved_away(buffers):
        buffers.symlink_to("/nonexistent")
        yield


@contextmanager
def empty_mount_point(buffers: Path) -> Iterator[None]:
    with moved_away(buffers):
        buffers.mkdir()
        yield


@contextmanager
def a_file_instead(buffers: Path) -> Iterator[None]:
    with moved_away(buffers):
        buffers.touch()
        yield


@contextmanager
def links_to_files_that_are_away(buffers: Path) -> Iterator[None]:
    with moved_away(buffers):
        buffers.mkdir()
        shutil.copy(buffers.parent.parent / "aside" / MARKER, buffers)
        for name in [*NAMES, checksum(OTHER)]:
            (buffers / name[:2]).mkdir(exist_ok=True)
            (buffers / name[:2] / name).symlink_to(f"/nonexistent/{name}")
        yield


@contextmanager
def links_to_folders_that_are_away(buffers: Path) -> Iterator[None]:
    with moved_away(buffers):
        buffers.mkdir()
        shutil.copy(buffers.parent.parent / "aside" / MARKER, buffers)
        for name in {name[:2] for name in [*NAMES, checksum(OTHER)]}:
            (buffers / name).symlink_to(f"/nonexistent/{name}")
        yield


@contextmanager
def errors_of_the_system(number: int) -> Iterator[None]:
    def fails(call: Callable[..., object]) -> Callable[..., object]:
        def called(path: object, *arguments: object, **named: object) -> object:
            if isinstance(path, str) and "/buffers" in path:
                raise OSError(number, os.strerror(number))
            return call(path, *arguments, **named)

        return called

    with pytest.MonkeyPatch.context() as patched:
        for name in ("open", "stat", "rename", "unlink", "listdir"):
            patched.setattr(os, name, fails(getattr(os, name)))
        yield


def failing_with(number: int) -> Callable[[Path], AbstractContextManager[None]]:
    return lambda buffers: errors_of_the_system(number)


OUTAGES: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
    "not there": not_there,
    "dangling link": dangling_link,
    "empty mount point": empty_mount_point,
    "file": a_file_instead,
    "EACCES": failing_with(errno.EACCES),
    "ESTALE": failing_with(errno.ESTALE),
    "EIO": failing_with(errno.EIO),
}
LINKS: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
    "links to files": links_to_files_that_are_away,
    "links to folders": links_to_folders_that_are_away,
}


@pytest.fixture(params=["directory", "http"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with (
        DirectoryStore(str(tmp_path / "store"))
        if request.param == "directory"
        else ServedStore(tmp_path, Clock()) as store
    ):
        store.put([*LARGE, SMALL])
        yield store


def rows(path: Path) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path / "store" / "index.sqlite", isolation_level=None)
    try:
        return connection.execute("SELECT checksum, size FROM buffer JOIN digests USING (checksum)").fetchall()
    finally:
        connection.close()


def refused(call: Callable[[], object], path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        call()
    assert not isinstance(caught.value, BufferMissingError)
    assert str(path / "store" / "buffers") in caught.value.message
    assert caught.value.exit_code == 3
    assert caught.value.hint is not None


@pytest.mark.parametrize("outage", OUTAGES | LINKS)
def test_what_is_away_is_not_forgotten(store: Store, tmp_path: Path, outage: str) -> None:
    before = rows(tmp_path)
    assert len(before) == len(LARGE)
    questions = [store.has, store.sizes, store.get, store.delete, lambda names: store.open(names[0])]
    with (OUTAGES | LINKS)[outage](tmp_path / "store" / "buffers"):
        for question in questions:
            if outage not in LINKS or question != store.delete:
                refused(lambda question=question: question(NAMES), tmp_path)  # type: ignore[misc]
        assert store.get([checksum(SMALL)]) == [SMALL]
        assert store.put([b"more"]) == [checksum(b"more")]
        assert rows(tmp_path) == before
    assert store.get(NAMES) == LARGE
    assert store.has(NAMES) == [True] * len(NAMES)


@pytest.mark.parametrize("outage", OUTAGES)
def test_nothing_is_removed_or_added_meanwhile(store: Store, tmp_path: Path, outage: str) -> None:
    before = rows(tmp_path)
    with OUTAGES[outage](tmp_path / "store" / "buffers"):
        for put in (lambda: store.put([OTHER]), lambda: store.put_stream([OTHER]), lambda: store.put(LARGE)):
            refused(put, tmp_path)
        for dry_run in (True, False):
            refused(lambda dry_run=dry_run: store.collect(0, dry_run), tmp_path)  # type: ignore[misc]
        assert rows(tmp_path) == before
    assert store.get(NAMES) == LARGE
    assert store.put([OTHER]) == [checksum(OTHER)]
    assert store.get([checksum(OTHER)]) == [OTHER]


def test_a_file_that_cannot_be_read_is_not_corrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with DirectoryStore(str(tmp_path / "store")) as store:
        store.put(LARGE)
        with store.open(NAMES[0]) as reader, monkeypatch.context() as patched:
            patched.setattr(os, "pread", fails)
            refused(reader.read, tmp_path)
        assert store.usage().corrupt == 0
        assert store.get(NAMES) == LARGE


def test_a_disk_that_came_back_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffers = tmp_path / "store" / "buffers"
    real = os.open

    def back(path: str, *arguments: int) -> int:
        monkeypatch.undo()
        os.rename(tmp_path / "aside", buffers)
        raise FileNotFoundError(errno.ENOENT, "not there")

    with DirectoryStore(str(tmp_path / "store")) as store:
        store.put(LARGE)
        os.rename(buffers, tmp_path / "aside")
        monkeypatch.setattr(os, "open", back)
        assert store.get(NAMES[:1]) == LARGE[:1]
        assert os.open is real


def test_what_the_user_says_is_lost_is_forgotten(tmp_path: Path) -> None:
    buffers = tmp_path / "store" / "buffers"
    with DirectoryStore(str(tmp_path / "store")) as store:
        store.put(LARGE)
        shutil.rmtree(buffers)
        with pytest.raises(StorageError) as caught:
            store.has(NAMES)
        assert caught.value.hint is not None
        subprocess.run(caught.value.hint.partition("for good: ")[2], shell=True, check=True)
        assert store.has(NAMES) == [False] * len(NAMES)
        assert rows(tmp_path) == []
        store.put(LARGE)
        assert store.get(NAMES) == LARGE


@pytest.mark.parametrize("touch", ["put", "has", "collect"])
def test_a_store_made_without_a_marker_gets_one_where_its_files_are_seen(tmp_path: Path, touch: str) -> None:
    buffers = tmp_path / "store" / "buffers"
    with DirectoryStore(str(tmp_path / "store")) as store:
        store.put(LARGE)
        (buffers / MARKER).unlink()
        with empty_mount_point(buffers):
            refused(lambda: store.put([OTHER]), tmp_path)
            refused(lambda: store.has(NAMES), tmp_path)
            refused(lambda: store.collect(0), tmp_path)
        (buffers / NAMES[0][:2] / NAMES[0]).unlink()
        if touch == "put":
            store.put([OTHER])
        elif touch == "has":
            assert store.has(NAMES) == [False, True, True, True, True]
        else:
            store.collect(10**9)
        assert (buffers / MARKER).exists()
        assert store.get(NAMES) == [None, *LARGE[1:]]


def test_what_an_outage_made_the_index_forget_is_taken_back(tmp_path: Path) -> None:
    clock = Clock()
    clock.now = tmp_path.stat().st_ctime + 2 * 86400
    with DirectoryStore(str(tmp_path / "store"), clock) as store:
        store.put(LARGE)
        execute(tmp_path, "DELETE FROM buffer WHERE packed IS NULL")
        execute(tmp_path, "DELETE FROM digests")
        bad = store._index.files.place(NAMES[0])
        os.chmod(bad, 0o644)
        with open(bad, "r+b") as file:
            file.write(b"other bytes")
        os.utime(store._index.files.place(NAMES[1]), (5000, 5000))
        assert (store.collect(10**12, dry_run=True).adopted, rows(tmp_path)) == (4, [])
        found = store.collect(10**12)
        assert (found.adopted, found.leftovers, found.buffers) == (4, 1, 0)
        assert store.get(NAMES) == [None, *LARGE[1:]]
        with store.open(NAMES[2]) as reader:
            assert reader.read() == LARGE[2]
        assert execute(tmp_path, f"SELECT used FROM buffer WHERE checksum = '{NAMES[1]}'") != [(5000,)]  # read above
        assert store.collect(10**12).adopted == 0


def execute(path: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path / "store" / "index.sqlite", isolation_level=None)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


AS_NOBODY = """
import os, sys
from offload.errors import StorageError
from offload.storage.local.store import DirectoryStore
from offload.storage.local import gc, incoming
from offload.storage.sqlite import errors  # before this user cannot read them any more
os.setresuid(65534, 65534, 65534)
store = DirectoryStore(sys.argv[1])
data = [bytes([n]) * 200_000 for n in range(3)]
names = store.put(data)
os.chmod(sys.argv[1] + "/buffers", 0)
for call in (store.has, store.get, lambda _: store.put([b"x" * 100_000]), lambda _: store.collect(0)):
    try:
        print("answered", call(names))
    except StorageError as error:
        print(type(error).__name__, "Permission denied" in error.message, "/buffers" in error.message)
os.chmod(sys.argv[1] + "/buffers", 0o700)
print(store.get(names) == data)
"""


@pytest.mark.real
def test_a_directory_that_is_closed_to_its_owner() -> None:
    requires_root()
    with tempfile.TemporaryDirectory() as path:  # another user gets there, as not to the directories of pytest
        os.chown(path, 65534, 65534)
        ended = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, f"{path}/store"], capture_output=True, text=True, timeout=60, check=False
        )
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == ["StorageError True True"] * 4 + ["True"]


MOUNTED_OVER = """
import subprocess, sys
from offload.errors import StorageError
from offload.storage.local.store import DirectoryStore
store = DirectoryStore(sys.argv[1])
data = [bytes([n]) * 200_000 for n in range(3)]
names = store.put(data)
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", sys.argv[1] + "/buffers"], check=True)
for call in (store.has, store.get, lambda _: store.put([b"x" * 100_000]), lambda _: store.collect(0)):
    try:
        print("answered", call(names))
    except StorageError as error:
        print(type(error).__name__, "/buffers" in error.message)
subprocess.run(["umount", sys.argv[1] + "/buffers"], check=True)
print(store.get(names) == data, store.has(names))
"""


@pytest.mark.real
def test_another_file_system_is_mounted_over_it(tmp_path: Path) -> None:
    ended = in_own_mounts('exec "$1" -c "$2" "$3"', sys.executable, MOUNTED_OVER, tmp_path / "store")
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == ["StorageError True"] * 4 + ["True [True, True, True]"]
