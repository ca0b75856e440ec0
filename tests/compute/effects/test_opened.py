"""Files that native code opens, of which no audit event tells."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import offload
from offload.effects.fanotify import CLOSED, CREATED, OPEN, Group, RefusedError
from offload.errors import EffectWarning, NotRecordedWarning
from tests.compute.conftest import Log
from tests.compute.test_calls import mark


def tells(folder: Path) -> bool:
    """Whether the kernel and the file system tell what is opened."""
    try:
        group = Group()
    except RefusedError:
        return False
    try:
        group.look_at(str(folder))
    except OSError:
        return False
    finally:
        group.close()
    return True


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Path:
    """A directory with tables, which is not the current one."""
    if not tells(tmp_path):
        pytest.skip("needs a kernel and a file system that tell which files are opened")
    for name in ("far", "far/deep", "here", "here/below"):
        (tmp_path / name).mkdir()
        pl.DataFrame({"a": [1]}).write_csv(tmp_path / name / "x.csv")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "far"


# A name that nobody has in a list.
READ = {"table": pl.read_csv}


def natively(path: str) -> int:
    return int(READ["table"](path)["a"][0])


PLACE = ""


def in_current(log: str, folder: str) -> int:
    mark(log)
    return natively("x.csv")


def below_current(log: str, folder: str) -> int:
    mark(log)
    return natively("/".join(["below", "x.csv"]))


def by_a_text(log: str, folder: str) -> int:
    mark(log)
    return natively(f"{folder}/x.csv")


def by_a_global(log: str, folder: str) -> int:
    mark(log)
    return natively(os.path.join(PLACE, "x.csv"))


def below_a_text(log: str, folder: str) -> int:
    mark(log)
    return natively(os.path.join(folder, "deep", "x.csv"))


def by_a_query(log: str, query: str) -> int:
    mark(log)
    found: Any = getattr(duckdb.connect(), "".join(["exe", "cute"]))(query).fetchone()
    return int(found[0])


KINDS: list[Callable[..., int]] = [in_current, below_current, by_a_text, by_a_global, below_a_text]


@pytest.mark.filterwarnings("ignore:.*computed name")
@pytest.mark.parametrize("function", [*KINDS, by_a_query], ids=lambda f: f.__name__)
def test_what_native_code_reads_is_no_input(
    function: Callable[..., int], log: Log, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PLACE", str(folder))
    task = offload.task(function)
    text = f"select a from '{folder}/x.csv'" if function is by_a_query else str(folder)
    for runs in (1, 2):
        with pytest.warns(NotRecordedWarning, match=r"it read .*x\.csv, which is no input"):
            assert task(log.path, text) == 1
        assert log.runs == runs


@pytest.mark.filterwarnings("ignore:.*not recorded")
def test_on_workers(log: Log, folder: Path) -> None:
    task = offload.task(by_a_text)
    with offload.Deployment(in_process=True):
        assert [task.submit(log.path, str(folder)).result() for _ in range(2)] == [1, 1]
    assert log.runs == 2


@offload.task
def of_file(log: str, file: offload.File) -> int:
    mark(log)
    return natively(file.path)


@pytest.fixture
def no_warnings() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_an_input_is_read(log: Log, folder: Path, no_warnings: None) -> None:
    assert [of_file(log.path, offload.File(folder / "x.csv")) for _ in range(2)] == [1, 1]
    assert log.runs == 1


def test_calls_in_threads_read_their_own_inputs(log: Log, folder: Path, no_warnings: None) -> None:
    files = []
    for n in range(4):
        pl.DataFrame({"a": [n]}).write_csv(folder / f"{n}.csv")
        files.append(offload.File(folder / f"{n}.csv"))
    for _ in range(2):
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda file: of_file(log.path, file), files)) == [0, 1, 2, 3]
    assert log.runs == 4


@offload.task
def while_another_reads(log: str, folder: str, going: Any, done: Any) -> int:
    mark(log)
    going.set()
    done.wait(60)
    return len(pl.DataFrame({"a": [1]}))


class Gate(threading.Event):
    """An event that does not count."""


offload.register(Gate, encode=lambda gate: None, decode=lambda state: Gate())


def test_what_another_process_reads_is_nothing(log: Log, folder: Path, no_warnings: None) -> None:
    going, done = Gate(), Gate()
    program = f"input(); open({str(folder / 'x.csv')!r}).read()"
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)

    def read() -> None:
        going.wait(60)
        process.communicate(b"\n", 60)
        done.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert while_another_reads(log.path, str(folder), going, done) == 1
    reader.join()
    assert process.returncode == 0
    assert while_another_reads(log.path, str(folder), going, done) == 1
    assert log.runs == 1


@offload.task
def there_and_back(log: str, folder: str) -> int:
    mark(log)
    pl.DataFrame({"a": [3]}).write_csv(f"{folder}/own.csv")
    return natively(f"{folder}/own.csv")


def test_what_it_has_written_itself_is_its_own(log: Log, folder: Path, no_warnings: None) -> None:
    for _ in range(2):
        assert there_and_back(log.path, str(folder)) == 3
    assert log.runs == 1


def test_what_is_written_natively_is_told(log: Log, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offload.effects.native_reads.is_scratch", lambda path: False)
    with pytest.warns(EffectWarning, match=r"it wrote .*own\.csv"):
        assert there_and_back(log.path, str(folder)) == 3


@offload.task
def outer(log: str, folder: str) -> int:
    inner: int = vouched(log, folder)
    return inner + len(pl.DataFrame({"a": [1]}))


@offload.task(effects="ignore")
def vouched(log: str, folder: str) -> int:
    mark(log)
    return natively(f"{folder}/x.csv")


def test_what_is_vouched_for_within_a_call(log: Log, folder: Path, no_warnings: None) -> None:
    assert [outer(log.path, str(folder)) for _ in range(2)] == [2, 2]
    assert log.runs == 1


@offload.task
def by_python(folder: str) -> int:
    made = Path(folder, "made.txt")
    made.write_text("1234")
    with open(os.path.relpath(made)) as stream:
        return len(stream.read()) * len(pl.DataFrame({"a": [1]}))


@pytest.mark.filterwarnings("ignore:.*it wrote")
def test_what_python_opens_is_judged_by_its_own_events(folder: Path, no_warnings: None) -> None:
    assert by_python(str(folder)) == 4


def test_a_group(folder: Path) -> None:
    group = Group()
    group.look_at(str(folder))
    (folder / "new.txt").write_text("new")
    (folder / "x.csv").read_bytes()
    (folder / "deep" / "x.csv").read_bytes()
    events = group.events()
    assert {Path(path).name for path in events} == {"new.txt", "x.csv"}
    assert events[str(folder / "new.txt")] & (CREATED | CLOSED) == CREATED | CLOSED
    assert events[str(folder / "x.csv")] == OPEN
    (folder / "x.csv").read_bytes()
    group.forget()
    assert group.events() == {}
    group.close()


def test_a_child_has_a_group_of_its_own(log: Log, folder: Path) -> None:
    assert of_file(log.path, offload.File(folder / "x.csv")) == 1
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                offload.task(of_text)(str(folder))
            code = 0 if any("it read" in str(one.message) for one in caught) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def of_text(folder: str) -> int:
    return len(pl.DataFrame({"a": [1]})) + len(os.fspath(folder)) * bool(duckdb.read_csv(f"{folder}/x.csv"))
