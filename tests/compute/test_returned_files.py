"""Files and directories as results: their contents are there again when the result is recalled."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import offload
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.registry import session
from offload.registry.deployments import Registry
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


SUBMITS = """
import asyncio, concurrent.futures, dataclasses, os, sys, threading
import offload

@dataclasses.dataclass
class Made:
    files: list
    name: str

@offload.task
def make(name):
    os.makedirs("tree." + name, exist_ok=True)
    for path in (name, f"tree.{name}/leaf"):
        with open(path, "w") as file:
            file.write("in " + path)
    return {"made": Made([offload.File(name), offload.Directory("tree." + name)], name)}

def text(result):
    file, tree = result["made"].files
    return open(file).read() + ", " + open(os.path.join(tree, "leaf")).read()

async def awaited(future):
    return await future

def called_back(future):
    found = concurrent.futures.Future()
    future.add_done_callback(lambda done: found.set_result(done.result()))
    return found.result(60)

WAYS = {
    "result": lambda future: future.result(60),
    "gather": lambda future: offload.gather([future])[0],
    "completed": lambda future: next(iter(concurrent.futures.as_completed([future], 60))).result(),
    "await": lambda future: asyncio.run(awaited(future)),
    "callback": called_back,
}

if __name__ == "__main__":
    os.chdir(sys.argv[2])
    future = make.submit(os.path.abspath(sys.argv[1]))
    print(text(WAYS[sys.argv[1]](future)).replace(os.getcwd() + "/", ""), future.recalled)
""".replace('"tree." + name', 'name + ".tree"').replace("tree.{name}/", "{name}.tree/")
WAYS = ["result", "gather", "completed", "await", "callback"]


def check_submits(script: Script, folder: Path, way: str) -> None:
    """Run a program that only submits three times: the files are gone before the second, and there before the third."""
    folder.mkdir(exist_ok=True)
    for recalled in (False, True, True):
        assert script.output(SUBMITS, way, str(folder)) == f"in {way}, in {way}.tree/leaf {recalled}\n"
        if not recalled:
            os.unlink(folder / way)
            shutil.rmtree(folder / f"{way}.tree")


@pytest.mark.parametrize("way", WAYS)
def test_in_a_program_that_only_submits(script: Script, tmp_path: Path, way: str) -> None:
    check_submits(script, tmp_path / "results", way)


@pytest.mark.real
def test_in_a_program_that_only_submits_to_a_deployment(
    script: Script, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(str(home))
    launch.up(registry, Spec(name="test", workers=1), print)
    try:
        monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "test")
        for way in WAYS:
            check_submits(script, tmp_path / "results", way)
    finally:
        launch.down(registry, registry.get("test"), print)


def test_in_two_threads_at_once(script: Script) -> None:
    """The first to meet a file in a result loads what brings it back; the second waits for that."""
    text = """
import importlib.machinery, os, sys, threading
import offload

@offload.task
def make(name):
    with open(name, "w") as file:
        file.write(name)
    return offload.File(name)

began, ended = threading.Event(), threading.Event()

class Slow(importlib.machinery.SourceFileLoader):
    def exec_module(self, module):
        began.set()
        ended.wait(1)  # with both in here, neither ends before this does
        super().exec_module(module)

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "offload.tasks.returned_files":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        spec.loader = Slow(spec.loader.name, spec.loader.path)
        return spec

if __name__ == "__main__":
    if sys.argv[1:]:
        print(open(make("made.txt")).read())
    else:
        sys.meta_path.insert(0, Finder())
        said = []
        one = threading.Thread(target=lambda: said.append(open(make.submit("made.txt").result(60)).read()))
        one.start()
        assert began.wait(60)
        said.append(open(make.submit("made.txt").result(60)).read())
        ended.set()
        one.join()
        print(said)
"""
    assert script.output(text, "first") == "made.txt\n"
    assert script.output(text) == "['made.txt', 'made.txt']\n"


def test_without_a_transformation_nothing_is_to_be_forgotten() -> None:
    from offload.errors import DecodeError
    from offload.tasks.results import from_buffer

    for transformation, expected in (("", "may have moved"), ("f" * 64, "offload forget " + "f" * 16)):
        with pytest.raises(DecodeError) as caught:
            from_buffer(b"", transformation)
        assert (caught.value.hint or "").endswith(expected)


class Slots:
    __slots__ = ("file", "unset")
    file: offload.File


class Paths(dict[str, Any]):
    pass


@offload.task
def make_in_objects(text: str) -> Any:
    held = Slots()
    held.file = write("a.txt", text)
    return SimpleNamespace(held=[held], paths=Paths(b=write("b.txt", text)))


def test_in_objects() -> None:
    for _ in range(2):
        found = make_in_objects("x")  # and what it returns is not told as written
        assert Path(found.held[0].file).read_text() == Path(found.paths["b"]).read_text() == "x"
        os.unlink("a.txt")
        os.unlink("b.txt")
    assert offload.why(make_in_objects, "x").hit


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
