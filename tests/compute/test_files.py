"""Files and directories as arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import offload
from offload.errors import NotRecordedWarning, OffloadError, UsageError
from tests.compute.conftest import Log
from tests.compute.test_calls import mark

pytestmark = pytest.mark.usefixtures("home")


@offload.task
def words(log: str, file: Any) -> list[str]:
    mark(log)
    return Path(file).read_text().split()


@offload.task
def names(log: str, folder: Any) -> list[str]:
    mark(log)
    return sorted(path.name for path in Path(folder).iterdir())


@offload.task
def edit(log: str, where: Any, text: str) -> str:
    mark(log)
    file = where
    while not isinstance(file, offload.File):
        file = file["f"] if isinstance(file, dict) else file[0]
    path = Path(file)
    if text:
        path.write_text(text)
    else:
        path.unlink()
    return "done"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "words.txt"
    path.parent.mkdir()
    path.write_text("one two")
    return path


def test_content_and_name_count_and_the_place_does_not(log: Log, text: Path, tmp_path: Path) -> None:
    assert [words(log.path, offload.File(text)), words(log.path, offload.File(str(text)))] == [["one", "two"]] * 2
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (moved / "words.txt").write_text("one two")
    words(log.path, offload.File(moved / "words.txt"))
    assert log.runs == 1
    (moved / "other.txt").write_text("one two")
    words(log.path, offload.File(moved / "other.txt"))
    assert log.runs == 2
    text.write_text("three")
    assert words(log.path, offload.File(text)) == ["three"]
    assert log.runs == 3


def test_a_path_as_text_is_no_input(log: Log, text: Path) -> None:
    for content in ("one two", "three"):
        text.write_text(content)
        with pytest.warns(NotRecordedWarning, match=r"words\.txt, which is no input of the call"):
            assert words(log.path, str(text)) == content.split()
    assert log.runs == 2


def test_directories(log: Log, text: Path) -> None:
    folder = offload.Directory(text.parent)
    assert [names(log.path, folder), names(log.path, folder)] == [["words.txt"]] * 2
    assert log.runs == 1
    text.write_text("changed")
    names(log.path, folder)
    (text.parent / "new").mkdir()
    assert names(log.path, folder) == ["new", "words.txt"]
    assert log.runs == 3


def test_what_is_not_there(text: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.txt is not a file") as caught:
        offload.File(text.parent / "nothing.txt")
    assert caught.value.hint
    with pytest.raises(UsageError, match="is not a directory"):
        offload.Directory(text)


def test_gone_before_the_call(log: Log, text: Path) -> None:
    file = offload.File(text)
    text.unlink()
    with pytest.raises(OffloadError, match=r"words\.txt"):
        words(log.path, file)


@pytest.mark.parametrize("new", ["other words", ""], ids=["changed", "removed"])
@pytest.mark.parametrize("shape", ["plain", "list", "dict"])
def test_a_file_that_changes_while_it_is_used(log: Log, text: Path, new: str, shape: str) -> None:
    file: Any = offload.File(text)
    argument = {"plain": file, "list": [file], "dict": {"f": (file,)}}[shape]
    for _ in range(2):
        text.write_text("one two")
        with pytest.warns(NotRecordedWarning, match=r"not recorded: .*words\.txt.* changed while it was used"):
            assert edit(log.path, argument, new) == "done"
    assert log.runs == 2
