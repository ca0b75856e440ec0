"""What is acknowledged is on the disk: a copy of only what was synced has it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from offload.identity.checksums import BLOCK, checksum
from offload.storage.home import Home
from offload.storage.http.store import HttpStore
from offload.storage.local.store import DirectoryStore
from tests.storage.service.serving import Served

LARGE = Random(3).randbytes(BLOCK + 1)
NAME = checksum(LARGE)


class Disk:
    """Notes what a process syncs, as it is then. SQLite syncs its file by itself when it writes its log back."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.synced: dict[str, bytes | None] = {}
        self._fsync = os.fsync
        patch.setattr(os, "fsync", self._note)

    def _note(self, descriptor: int) -> None:
        self._fsync(descriptor)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        self.synced[path] = None if os.path.isdir(path) else Path(path).read_bytes()

    def after_power_loss(self, home: Path, there: Path) -> None:
        """Write what the disk would have; a file that was renamed has its name only if the directory was synced."""
        kept = [data for data in self.synced.values() if data is not None]
        for path in home.rglob("*"):
            copy = there / path.relative_to(home)
            if path.is_dir():
                copy.mkdir(parents=True, exist_ok=True)
            elif path.name == "index.sqlite":
                shutil.copy(path, copy)
            elif str(path.parent) in self.synced and path.read_bytes() in kept:
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)


def put_bytes(store: DirectoryStore, tmp_path: Path) -> None:
    store.put([b"small", LARGE])


def put_stream(store: DirectoryStore, tmp_path: Path) -> None:
    store.put_stream([LARGE])


def put_file(store: DirectoryStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(LARGE)
    store.put_file(str(tmp_path / "file"))


@pytest.mark.parametrize("put", [put_bytes, put_stream, put_file])
@pytest.mark.parametrize("known", [False, True])
def test_a_large_buffer_is_there_after_a_power_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, put: Callable[[DirectoryStore, Path], None], known: bool
) -> None:
    disk = Disk(monkeypatch)
    home = Home(str(tmp_path / "home"))
    store = DirectoryStore(home.store)
    if known:
        store.put([b"other" * BLOCK])
    put(store, tmp_path)
    assert {home.path, home.store, str(tmp_path)} <= set(disk.synced)
    disk.after_power_loss(tmp_path / "home", tmp_path / "copy")
    with DirectoryStore(str(tmp_path / "copy" / "store")) as copy:
        assert copy.get([NAME]) == [LARGE]
    store.close()


def test_what_a_service_has_acknowledged_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    with Served(tmp_path / "home", tls=False) as served, HttpStore(served.client()) as store:
        store.put_stream([LARGE], NAME)
        disk.after_power_loss(tmp_path / "home", tmp_path / "copy")
    with DirectoryStore(str(tmp_path / "copy" / "store")) as copy:
        assert copy.get([NAME]) == [LARGE]


def test_small_buffers_wait_for_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with DirectoryStore(str(tmp_path / "store")) as store:
        disk = Disk(monkeypatch)
        store.put([b"small", b"b" * 60_000])
        assert disk.synced == {}


def test_a_log_that_is_made_anew_has_its_name_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with DirectoryStore(str(tmp_path / "store")) as store:
        store.put([b"other" * BLOCK])
    disk = Disk(monkeypatch)
    with DirectoryStore(str(tmp_path / "store")) as store:
        store.put([LARGE])
        assert str(tmp_path / "store") in disk.synced
        disk.synced.clear()
        store.put([LARGE + b"more"])
        assert str(tmp_path / "store") not in disk.synced
