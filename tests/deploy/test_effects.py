"""What calls on a deployment do besides computing: their client is told, and nothing is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import offload
from offload.effects import warnings
from offload.errors import NotRecordedWarning, StorageError
from tests.deploy.test_jobs import place

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("place")]

__all__ = ["place"]


@offload.task
def read(path: Any) -> str:
    return Path(path).read_text()


def test_what_is_read_without_being_declared(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("text")
    for _ in range(2):
        warnings._told.clear()
        future = read.submit(str(path))
        with pytest.warns(NotRecordedWarning, match=f"test_effects:read: .*it read {path}") as told:
            assert future.result(60) == "text"
        assert [one.filename for one in told] == [__file__]  # the line that submits it, not one of offload's
        assert future.recalled is False
    for recalled in (False, True):
        future = read.submit(offload.File(path))
        assert (future.result(60), future.recalled) == ("text", recalled)


def test_what_the_user_vouches_for(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("text")
    vouched = offload.task(read.function, effects="ignore")
    for recalled in (False, True):
        future = vouched.submit(str(path))
        assert (future.result(60), future.recalled) == ("text", recalled)


@offload.task
def large(letter: str) -> str:
    return letter * 200_000


def test_what_cannot_be_stored_is_told(home: Path) -> None:
    assert large.submit("a").result(60) == "a" * 200_000
    buffers = home / "store" / "buffers"
    buffers.rename(home / "aside")
    buffers.symlink_to("/nonexistent")  # its disk is away
    with pytest.warns(NotRecordedWarning, match=f"returned but not recorded: .*{buffers}"):
        assert large.submit("b").result(60) == "b" * 200_000
    with pytest.raises(StorageError, match=str(buffers)):
        large.submit("a").result(60)
    buffers.unlink()
    (home / "aside").rename(buffers)
    for letter, recalled in (("a", True), ("b", False), ("b", True)):
        future = large.submit(letter)
        assert (future.result(60), future.recalled) == (letter * 200_000, recalled)
