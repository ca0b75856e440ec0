from __future__ import annotations

import hashlib
import mmap
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from offload.errors import NotFoundError, StorageError
from offload.identity.checksums import checksum
from offload.storage import file_checksums
from offload.storage.file_checksums import FileChecksums


class Later:
    """A clock that runs ahead of the files' by some seconds."""

    def __init__(self) -> None:
        self.ahead = 10.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were really hashed."""
    names: list[str] = []
    original = file_checksums._hashed

    def counted(path: str) -> tuple[str, os.stat_result]:
        names.append(os.path.basename(path))
        return original(path)

    monkeypatch.setattr(file_checksums, "_hashed", counted)
    return names


@pytest.fixture
def clock() -> Later:
    return Later()


@pytest.fixture
def files(tmp_path: Path, clock: Later) -> Iterator[FileChecksums]:
    files = FileChecksums(str(tmp_path / "files.sqlite"), clock=clock)
    yield files
    files.close()


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def test_a_file_is_hashed_once(files: FileChecksums, tmp_path: Path, hashed: list[str]) -> None:
    path = write(tmp_path / "a", b"content")
    assert [files.checksum(path) for _ in range(3)] == [checksum(b"content")] * 3
    assert hashed == ["a"]
    assert files.entry(path, os.stat(path)) == checksum(b"content")
    again = FileChecksums(str(tmp_path / "files.sqlite"))
    assert again.checksum(path) == checksum(b"content")
    assert hashed == ["a"]
    again.close()


def test_a_file_that_was_just_written_is_not_trusted(
    files: FileChecksums, tmp_path: Path, hashed: list[str], clock: Later
) -> None:
    path = write(tmp_path / "a", b"content")
    clock.ahead = file_checksums.MARGIN - 0.5
    files.checksum(path)
    assert files.entry(path, os.stat(path)) is None
    files.checksum(path)
    assert hashed == ["a", "a"]
    clock.ahead = file_checksums.MARGIN + 0.5
    files.checksum(path)
    files.checksum(path)
    assert hashed == ["a", "a", "a"]


def test_an_old_mtime_does_not_hide_a_new_ctime(files: FileChecksums, tmp_path: Path, clock: Later) -> None:
    path = write(tmp_path / "a", b"content")
    os.utime(path, (1, 1))
    clock.ahead = 0.0
    files.checksum(path)
    assert files.entry(path, os.stat(path)) is None


def test_files_of_network_file_systems_are_trusted_later(
    files: FileChecksums, tmp_path: Path, clock: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_checksums, "on_network", lambda path: True)
    path = write(tmp_path / "a", b"content")
    files.checksum(path)
    assert files.entry(path, os.stat(path)) is None
    clock.ahead = file_checksums.NETWORK_MARGIN + 1
    files.checksum(path)
    assert files.entry(path, os.stat(path)) == checksum(b"content")


def test_changes_are_seen(files: FileChecksums, tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"before")
    before = os.stat(path)
    assert files.checksum(path) == checksum(b"before")
    write(tmp_path / "a", b"after!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(path).st_mtime_ns == before.st_mtime_ns
    assert files.checksum(path) == checksum(b"after!")
    write(tmp_path / "b", b"replaced")
    os.rename(tmp_path / "b", path)
    assert files.checksum(path) == checksum(b"replaced")


def test_batches_keep_their_order(files: FileChecksums, tmp_path: Path, hashed: list[str]) -> None:
    paths = [write(tmp_path / f"{number}", b"%d" % number) for number in range(200)]
    expected = [checksum(b"%d" % number) for number in range(200)]
    assert files.checksums(paths[:100]) == expected[:100]
    assert files.checksums(paths[::-1]) == expected[::-1]
    assert files.checksums([]) == []
    assert len(hashed) == 200


def test_symbolic_links_are_followed(files: FileChecksums, tmp_path: Path) -> None:
    write(tmp_path / "a", b"content")
    (tmp_path / "link").symlink_to("a")
    assert files.checksum(str(tmp_path / "link")) == checksum(b"content")


def test_what_is_no_file(files: FileChecksums, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        files.checksum(str(tmp_path / "missing"))
    with pytest.raises(NotFoundError, match="not a regular file"):
        files.checksum(str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotFoundError, match="not a regular file"):
        files.checksum(str(tmp_path / "pipe"))


def test_files_hashed_before_one_that_is_missing_are_remembered(files: FileChecksums, tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"content")
    fleeting = write(tmp_path / "b", b"fleeting")
    original = os.stat(fleeting)
    os.unlink(fleeting)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(file_checksums, "_stat", lambda path: original if path == fleeting else os.stat(path))
        with pytest.raises(NotFoundError):
            files.checksums([path, fleeting])
    assert files.entry(path, os.stat(path)) == checksum(b"content")


def test_a_file_that_changes_while_it_is_hashed(
    files: FileChecksums, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a", b"content")
    changes = 1

    def changing() -> object:
        nonlocal changes
        if changes:
            changes -= 1
            os.utime(path, (changes, changes))
        return hashlib.sha256()

    monkeypatch.setattr(file_checksums, "sha256", changing)
    assert files.checksum(path) == checksum(b"content")
    changes = 5
    os.utime(path, (99, 99))
    with pytest.raises(StorageError, match="keeps changing"):
        files.checksum(path)


def test_only_the_last_files_are_remembered(tmp_path: Path, clock: Later) -> None:
    files = FileChecksums(str(tmp_path / "files.sqlite"), limit=10, clock=clock)
    paths = [write(tmp_path / f"{number}", b"%d" % number) for number in range(15)]
    for path in paths:
        files.checksum(path)
    remembered = [files.entry(path, os.stat(path)) is not None for path in paths]
    assert remembered == [False] * 5 + [True] * 10
    files.close()


def test_a_damaged_cache_is_made_anew(tmp_path: Path, clock: Later) -> None:
    cache = tmp_path / "files.sqlite"
    cache.write_bytes(b"garbage " * 1000)
    path = write(tmp_path / "a", b"content")
    files = FileChecksums(str(cache), clock=clock)
    with pytest.warns(RuntimeWarning, match=r"file-checksum cache .* damaged.*; made anew"):
        assert files.checksum(path) == checksum(b"content")
    assert files.entry(path, os.stat(path)) == checksum(b"content")
    files.close()


def test_a_cache_that_disappeared_is_made_anew(tmp_path: Path, clock: Later) -> None:
    path = write(tmp_path / "a", b"content")
    for _ in range(2):
        files = FileChecksums(str(tmp_path / "files.sqlite"), clock=clock)
        assert files.checksum(path) == checksum(b"content")
        files.close()
        os.unlink(tmp_path / "files.sqlite")


def test_a_cache_that_is_busy_is_no_obstacle(files: FileChecksums, tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"content")
    files.count()
    files._file.wait = 0.05
    writer = sqlite3.connect(tmp_path / "files.sqlite", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert files.checksum(path) == checksum(b"content")
    assert files.entry(path, os.stat(path)) is None
    writer.execute("ROLLBACK")
    writer.close()
    files.checksum(path)
    assert files.entry(path, os.stat(path)) == checksum(b"content")


def test_unsigned_inodes_fit() -> None:
    status = os.stat_result((0o100644, 2**64 - 1, 2**64 - 2, 1, 0, 0, 5, 0, 0, 0))
    assert file_checksums._key(status)[:2] == (-2, -1)


def test_what_is_written_through_a_map_is_seen(files: FileChecksums, tmp_path: Path) -> None:
    path = write(tmp_path / "a", bytes(5000))
    with open(path, "r+b") as file:
        assert files.checksum(path) == checksum(bytes(5000))
        before = os.stat(path)
        with mmap.mmap(file.fileno(), 0) as mapped:
            mapped[0] = 1
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            assert files.checksum(path) == checksum(b"\1" + bytes(4999))
            remembered = files.count()
            mapped[0] = 2  # the page is one that was written already: no time changes
            assert files.checksum(path) == checksum(b"\2" + bytes(4999))
            assert files.count() == remembered


def test_a_checksum_that_was_found_wrong_is_forgotten(files: FileChecksums, tmp_path: Path, hashed: list[str]) -> None:
    path = write(tmp_path / "a", b"content")
    files.checksum(path)
    files.forget(path)
    files.checksum(path)
    assert hashed == ["a", "a"]
