"""Files and directories as results: their contents are there again when the result is recalled."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import offload
from offload.registry import session
from tests.compute.conftest import Log, Script
from tests.compute.test_calls import mark


@pytest.fixture(autouse=True)
def quiet(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is returned is not told as written, wherever that is."""
    monkeypatch.setattr("offload.effects.events.is_scratch", lambda path: "/work/" not in path)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def write(name: str, text: str) -> offload.File:
    Path(name).write_text(text)
    return offload.File(name)


@offload.task
def make(log: str, text: str) -> offload.File:
    mark(log)
    return write("made.txt", text)


@offload.task
def make_several(log: str, text: str) -> Any:
    mark(log)
    os.makedirs("out/deep")
    write("out/deep/a.txt", text)
    Path("out/tool").write_text("#!/bin/sh")
    os.chmod("out/tool", 0o755)
    os.symlink("deep", "out/link")
    shared = [write("b.txt", text)]
    return {"all": (offload.Directory("out"), shared), "text": text, "again": shared}


@offload.task
def read(file: offload.File) -> str:
    return Path(file).read_text()


def test_where_it_was(log: Log) -> None:
    for remove in (False, False, True):
        if remove:
            os.unlink("made.txt")
        file = make(log.path, "one")
        assert (type(file), file.path, Path(file).read_text()) == (offload.File, os.path.abspath("made.txt"), "one")
    assert os.access("made.txt", os.W_OK)
    assert log.runs == 1


def test_in_a_process_that_has_computed_nothing(script: Script) -> None:
    text = """
import os
import offload

@offload.task
def make(count):
    print("computed", end=" ")
    with open("made.txt", "w") as file:
        file.write("x" * count)
    return [offload.File("made.txt")]

if __name__ == "__main__":
    (file,) = make(3)
    print(open(file).read())
    os.remove(file)
    ({})
"""
    assert script.run(text.format("")).stdout == "computed xxx\n"
    assert script.run(text.format("")).stdout == "xxx\n"
    assert script.run(text.format("print(open(make.submit(3).result()[0]).read())")).stdout == "xxx\nxxx\n"


def test_where_another_is_by_now(log: Log, home: Path) -> None:
    make(log.path, "one")
    make(log.path, "two")
    for _ in range(2):
        file = make(log.path, "one")
        assert Path(file).read_text() == "one"
        assert Path(file).is_relative_to(home)
        assert file.name == "made.txt"
        assert Path("made.txt").read_text() == "two"
        Path(file).write_text("changed by somebody")
    assert log.runs == 2


def test_where_its_directory_is_gone(log: Log, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(log.path, "one")
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(tmp_path / "work")
    file = make(log.path, "one")
    assert (Path(file).read_text(), Path(file).is_relative_to(home)) == ("one", True)
    assert log.runs == 1


def test_several_and_directories(log: Log) -> None:
    make_several(log.path, "x")
    shutil.rmtree("out")
    os.unlink("b.txt")
    found = make_several(log.path, "x")
    assert log.runs == 1
    folder, (file,) = found["all"]
    assert (type(folder), folder.path) == (offload.Directory, os.path.abspath("out"))
    assert Path("out/link/a.txt").read_text() == Path(file).read_text() == "x"
    assert os.access("out/tool", os.X_OK)
    assert not os.access("b.txt", os.X_OK)


def test_given_to_another_call(log: Log) -> None:
    assert read(make(log.path, "one")) == "one"
    assert read(make(log.path, "one")) == "one"
    assert offload.why(read, make(log.path, "one")).hit
    assert log.runs == 1


@offload.task
def outer(log: str, text: str) -> int:
    file = make(log, text)
    return len(Path(file).read_text())


def test_within_another_call(log: Log) -> None:
    make(log.path, "one")
    os.unlink("made.txt")
    assert [outer(log.path, "one") for _ in range(2)] == [3, 3]  # it reads what is there by its own doing
    assert session.current().database.runs()[0].label.endswith(":outer")
    assert log.runs == 1


def test_on_workers(log: Log) -> None:
    with offload.Deployment(in_process=True):
        assert read.submit(make.submit(log.path, "one")).result() == "one"
        os.unlink("made.txt")
        assert Path(make.submit(log.path, "one").result()).read_text() == "one"
    assert log.runs == 1


def test_a_content_that_is_lost_is_computed_again(log: Log) -> None:
    file = make(log.path, "one")
    session.current().store.delete([file.checksum()])
    os.unlink("made.txt")
    with pytest.warns(match="cannot be decoded"):
        assert Path(make(log.path, "one")).read_text() == "one"
    assert log.runs == 2
