"""Outputs of calls: where `offload.output` says that they belong, computed and recalled."""

from __future__ import annotations

import dataclasses
import os
import shutil
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import offload
from offload.api import submit
from offload.errors import OutputError, UsageError
from offload.registry import session
from tests.compute.conftest import Log, Script
from tests.compute.test_calls import mark

SECONDS = 120.0


@pytest.fixture(autouse=True)
def work(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of the program; nothing is told of outputs."""
    monkeypatch.setattr("offload.effects.events.is_scratch", lambda path: "/work/" not in path)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield tmp_path / "work"
    submit.shutdown()


def write(path: Any, text: str) -> offload.File:
    Path(path).write_text(text)
    return path  # type: ignore[no-any-return]


@dataclasses.dataclass
class Report:
    table: offload.File
    pages: list[Any]


@offload.task
def table(log: str, text: str) -> offload.File:
    mark(log)
    return write(offload.output("results/table.csv"), text)


@offload.task
def wrapped(log: str, text: str) -> offload.File:
    mark(log)
    place = offload.output("results/table.csv")
    write(place, text)
    return offload.File(place)


@offload.task
def report(log: str, text: str) -> dict[str, Report]:
    mark(log)
    pages = offload.output("results/pages/")
    os.mkdir(os.path.join(pages, "deep"))
    write(os.path.join(pages, "deep/one.txt"), text)
    os.chmod(write(os.path.join(pages, "tool"), "#!/bin/sh"), 0o755)
    os.symlink("deep", os.path.join(pages, "link"))
    one = offload.File(os.path.join(pages, "deep/one.txt"))
    return {"report": Report(write(offload.output("results/table.csv"), text), [pages, one])}


@offload.task
def not_returned(log: str, text: str) -> int:
    mark(log)
    write(offload.output("results/table.csv"), text)
    return len(text)


@offload.task
def in_a_thread(log: str, text: str) -> int:
    mark(log)
    thread = threading.Thread(target=lambda: write(offload.output("results/table.csv"), text))
    thread.start()
    thread.join()
    return len(text)


@offload.task
async def asynchronous(log: str, text: str) -> Any:
    mark(log)
    return [write(offload.output("results/table.csv"), text)]


@offload.task
def outer(log: str, text: str) -> int:
    return table(log, text).path.count("table")


@offload.task
def outer_submits(log: str, text: str) -> int:
    return table.submit(log, text).result().path.count("table")


def direct(task: Any, *arguments: Any) -> Any:
    result = task(*arguments)
    if hasattr(result, "__await__"):
        import asyncio

        return asyncio.run(result)
    return result


def submitted(task: Any, *arguments: Any) -> Any:
    return task.submit(*arguments).result(SECONDS)


WAYS: dict[str, Callable[..., Any]] = {"direct": direct, "submitted": submitted}
TASKS = [table, wrapped, report, not_returned, in_a_thread, asynchronous, outer, outer_submits]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    with offload.Deployment(in_process=True):
        yield WAYS[request.param]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)
def test_computed_and_recalled(log: Log, work: Path, way: Callable[..., Any], task: Any) -> None:
    place = work / "results/table.csv"
    for _ in range(3):
        way(task, log.path, "one")
        assert place.read_text() == "one"
        shutil.rmtree("results")
    assert log.runs == 1
    way(task, log.path, "two")
    way(task, log.path, "one")
    assert place.read_text() == "one"
    assert log.runs == 2
    assert os.listdir("results") in (["table.csv"], ["table.csv", "pages"], ["pages", "table.csv"])


def test_what_is_returned_lies_there(log: Log, work: Path, way: Callable[..., Any]) -> None:
    for _ in range(2):
        for task in (table, wrapped):
            file = way(task, log.path, "one")
            assert (type(file), file.path) == (offload.File, str(work / "results/table.csv"))
        found = way(report, log.path, "one")["report"]
        pages, one = found.pages
        assert (type(pages), pages.path) == (offload.Directory, str(work / "results/pages"))
        assert one.path == str(work / "results/pages/deep/one.txt")
        assert Path("results/pages/link/one.txt").read_text() == Path(found.table).read_text() == "one"
        assert os.readlink("results/pages/link") == "deep"
        assert os.access("results/pages/tool", os.X_OK)
        assert not os.access("results/table.csv", os.X_OK)
        shutil.rmtree("results")
    assert log.runs == 3


def test_in_another_directory(log: Log, work: Path, way: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    way(table, log.path, "one")
    (work / "other").mkdir()
    monkeypatch.chdir(work / "other")
    assert way(table, log.path, "one").path == str(work / "other/results/table.csv")
    assert (work / "other/results/table.csv").read_text() == "one"
    assert log.runs == 1


def test_what_is_the_same_is_left_alone(log: Log, way: Callable[..., Any]) -> None:
    way(table, log.path, "one")
    os.utime("results/table.csv", ns=(1, 1))
    before = os.stat("results/table.csv")
    way(table, log.path, "one")
    after = os.stat("results/table.csv")
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@offload.task
def copy(log: str, file: offload.File) -> offload.File:
    mark(log)
    return write(offload.output("copy.txt"), Path(file).read_text())


def test_it_is_no_older_than_its_inputs(log: Log, work: Path, way: Callable[..., Any]) -> None:
    (work / "in.txt").write_text("in")
    for _ in range(2):
        way(copy, log.path, offload.File("in.txt"))
        os.utime("copy.txt", ns=(1, 1))
    os.utime("in.txt", ns=(10**18, 10**18))
    way(copy, log.path, offload.File("in.txt"))
    assert os.stat("copy.txt").st_mtime_ns >= 10**18
    assert log.runs == 1


@offload.task
def fail(text: str) -> None:
    write(offload.output("results/table.csv"), text)
    raise ValueError(text)


def test_a_call_that_fails_puts_nothing_there(work: Path, way: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="one"):
        way(fail, "one")
    assert os.listdir(work) == []


@offload.task
def somewhere(path: str, text: str) -> offload.File:
    return write(offload.output(path), text)


def test_paths(work: Path, tmp_path: Path, way: Callable[..., Any]) -> None:
    absolute = str(tmp_path / "far/away.txt")
    for _ in range(2):
        assert way(somewhere, absolute, "far").path == absolute
        assert way(somewhere, "../beside.txt", "beside").path == str(tmp_path / "beside.txt")
        assert way(somewhere, "a/./b/../c.txt", "c").path == str(work / "a/c.txt")
        assert [Path(absolute).read_text(), (tmp_path / "beside.txt").read_text()] == ["far", "beside"]
        shutil.rmtree(tmp_path / "far")
        (tmp_path / "beside.txt").unlink()
    for path in ("", ".", "a\0b", "/"):
        with pytest.raises(UsageError, match="an output needs a name"):
            way(somewhere, path, "text")


def test_links_and_directories_in_its_place(log: Log, work: Path, way: Callable[..., Any]) -> None:
    (work / "results").mkdir()
    (work / "precious.txt").write_text("precious")
    os.symlink("../precious.txt", "results/table.csv")
    way(table, log.path, "one")
    assert not os.path.islink("results/table.csv")
    assert Path("precious.txt").read_text() == "precious"
    os.unlink("results/table.csv")
    (work / "results/table.csv").mkdir()
    with pytest.raises(OutputError, match=r"table\.csv cannot be brought back: a directory"):
        way(table, log.path, "one")
    assert log.runs == 1  # it is recorded all the same
    os.rmdir("results/table.csv")
    assert Path(way(table, log.path, "one")).read_text() == "one"
    assert log.runs == 1


def test_where_it_cannot_be_put(log: Log, work: Path) -> None:
    (work / "results").write_text("a file")
    with pytest.raises(UsageError, match=r"results is not a directory"):  # before the work
        table(log.path, "one")
    future = table.submit(log.path, "one")
    with pytest.raises(OutputError, match=r"cannot be brought back"):
        future.result(SECONDS)
    assert log.runs == 2
    (work / "results").unlink()
    assert Path(table(log.path, "one")).read_text() == "one"
    assert log.runs == 2


def test_outside_of_a_task(log: Log, work: Path) -> None:
    for function in (table.function, wrapped.function):
        assert function(log.path, "one").path == str(work / "results/table.csv")
    with offload.off():
        assert table(log.path, "two").path == str(work / "results/table.csv")
    assert Path("results/table.csv").read_text() == "two"


def test_a_mode_as_that_of_any_new_file(log: Log, way: Callable[..., Any]) -> None:
    Path("plain.txt").write_text("plain")
    expected = stat.S_IMODE(os.stat("plain.txt").st_mode)
    for _ in range(2):
        way(table, log.path, "one")
        assert stat.S_IMODE(os.stat("results/table.csv").st_mode) == expected
        shutil.rmtree("results")


def test_a_content_that_is_lost_is_computed_again(log: Log) -> None:
    file = table(log.path, "one")
    session.current().store.delete([file.checksum()])
    shutil.rmtree("results")
    with pytest.warns(match="cannot be decoded"):
        assert Path(table(log.path, "one")).read_text() == "one"
    assert log.runs == 2


def test_nothing_is_left(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    table(log.path, "one")
    table(log.path, "one")
    with pytest.raises(ValueError, match="one"):
        fail("one")
    assert os.listdir(tmp_path / "temporary") == []


def test_given_to_another_call(log: Log, way: Callable[..., Any]) -> None:
    for _ in range(2):
        assert Path(way(copy, log.path, way(table, log.path, "one"))).read_text() == "one"
    assert log.runs == 2


PROGRAM = """
import sys
import offload

@offload.task
def square(number):
    print("computed", flush=True)
    place = offload.output(f"squares/{number}.txt")
    with open(place, "w") as file:
        file.write(str(number**2))
    return place

if __name__ == "__main__":
    print([open(file).read() for file in offload.gather(square.map(range(int(sys.argv[1]))))])
"""


def test_in_another_process(script: Script, work: Path) -> None:
    expected = str([str(number**2) for number in range(20)]) + "\n"
    assert script.output(PROGRAM, "20").replace("computed\n", "") == expected
    for path in work.rglob("squares"):
        shutil.rmtree(path)
    assert script.output(PROGRAM, "20") == expected
