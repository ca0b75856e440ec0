"""The head's children, where the head itself cannot do its part."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from offload.deploy.head.children import Child
from offload.errors import DiskFullError, OffloadError, StorageError
from offload.util.files import write_whole
from offload.util.filesystems import check_room

READY = [sys.executable, "-c", "import sys; print('{}', flush=True); sys.stdin.read()"]
SECONDS = 60.0


def failing(error: Exception, path: Path) -> str:
    """Return why a child does not come up where the head cannot note that it is there."""

    def announced(_: dict[str, Any]) -> None:
        raise error

    async def begin() -> str:
        child = Child("service", lambda: READY, str(path / "log"), announces=True, announced=announced)
        child.start()
        try:
            await asyncio.wait_for(child.first_ready(), SECONDS)
        except OffloadError as exc:
            return f"{type(exc).__name__}: {exc.message}"
        finally:
            await child.end()
            assert child._process is not None
            assert child._process.returncode is not None  # it does not stay, unknown to all
        return ""

    return asyncio.run(begin())


def test_a_full_disk_of_the_head_is_told(tmp_path: Path) -> None:
    assert failing(DiskFullError("no space left"), tmp_path) == "DiskFullError: no space left"
    full = OSError(errno.ENOSPC, "No space left on device")
    assert failing(full, tmp_path) == f"DiskFullError: no space left where {tmp_path}/log lies"


def test_what_else_the_head_cannot_do_is_told(tmp_path: Path) -> None:
    told = failing(StorageError("it cannot be written"), tmp_path)
    assert told == "OffloadError: its part service does not come up: it cannot be written"


def test_room_is_tried(tmp_path: Path) -> None:
    check_room(str(tmp_path), 1000)
    assert os.listdir(tmp_path) == []
    with pytest.raises(StorageError, match="gone"):
        check_room(str(tmp_path / "gone"), 1000)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DiskFullError, match="no space left where"):
        write_whole(str(tmp_path / "file"), "text")
    assert os.listdir(tmp_path) == []
