"""Files that a call reads: what is no input keeps the result from being recorded, all the rest does not."""

from __future__ import annotations

import glob
import io
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import offload
from offload.errors import EffectWarning, NotRecordedWarning
from tests.compute.conftest import Log
from tests.compute.test_calls import mark

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with a file of each kind."""
    path = tmp_path / "data"
    path.mkdir()
    (path / "table.csv").write_text("a,b\n1,2\n")
    np.save(path / "array.npy", np.arange(3.0))
    np.arange(3.0).tofile(path / "array.bin")
    with closing(sqlite3.connect(path / "rows.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    return path


def read_open(path: str) -> str:
    with open(path) as file:
        return file.read()


def read_io_open(path: str) -> bytes:
    with io.open(path, "rb", buffering=0) as file:  # noqa: UP020 - both names are to be watched
        return file.read() or b""


def read_os_open(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


def read_for_update(path: str) -> str:
    with open(path, "r+") as file:
        return file.read()


def read_pathlib(path: str) -> str:
    return Path(path).read_text()


def read_relative(path: str) -> str:
    os.chdir(os.path.dirname(path))
    return Path(os.path.basename(path)).read_text()


def read_sqlite(path: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM t").fetchall()


def read_sqlite_by_uri(path: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT * FROM t").fetchall()


def read_numpy(path: str) -> float:
    return float(np.load(path).sum())


def read_numpy_map(path: str) -> float:
    return float(np.load(path, mmap_mode="r").sum())


def read_numpy_raw(path: str) -> float:
    return float(np.fromfile(path).sum())


def read_pandas(path: str) -> int:
    return int(pd.read_csv(path)["a"].sum())


def read_copy(path: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return Path(shutil.copy(path, folder)).read_text()


def read_link(path: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(path, f"{folder}/link")
        return Path(folder, "link").read_text()


def read_by_a_loader(path: str) -> bytes:
    loader = SourceFileLoader("module", str(Path(path).with_name("module.py")))  # as pkgutil.get_data does
    return loader.get_data(path)


READERS = [
    (read_open, "table.csv"),
    (read_by_a_loader, "table.csv"),
    (read_io_open, "table.csv"),
    (read_os_open, "table.csv"),
    (read_for_update, "table.csv"),
    (read_pathlib, "table.csv"),
    (read_relative, "table.csv"),
    (read_sqlite, "rows.db"),
    (read_sqlite_by_uri, "rows.db"),
    (read_numpy, "array.npy"),
    (read_numpy_map, "array.npy"),
    (read_numpy_raw, "array.bin"),
    (read_pandas, "table.csv"),
    (read_copy, "table.csv"),
    (read_link, "table.csv"),
]


@offload.task
def reading(log: str, how: Callable[[Any], Any], path: Any) -> Any:
    mark(log)
    return how(os.fspath(path))


@pytest.mark.parametrize(("how", "name"), READERS, ids=[how.__name__ for how, _ in READERS])
def test_reading(how: Callable[[str], Any], name: str, folder: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    path = str(folder / name)
    for _ in range(2):
        with pytest.warns(NotRecordedWarning) as caught:
            first = reading(log.path, how, path)
        (text,) = {str(warning.message) for warning in caught}
        assert "test_reads:reading: the result is not recorded" in text
        assert f"it read {path}" in text
        assert f"offload.File({path!r})" in text
        assert caught[0].filename == __file__
    assert log.runs == 2
    for _ in range(2):
        assert reading(log.path, how, offload.File(path)) == first
        assert reading(log.path, how, {"in": [offload.File(path)]}["in"][0]) == first
    assert log.runs == 3


def list_os(path: str) -> list[str]:
    return sorted(os.listdir(path))


def list_scandir(path: str) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries)


def list_glob(path: str) -> list[str]:
    return sorted(glob.glob(f"{path}/*.csv"))


def list_pathlib(path: str) -> list[str]:
    return sorted(entry.name for entry in Path(path).rglob("*"))


def list_here(path: str) -> list[str]:
    os.chdir(path)
    return sorted(os.listdir())


@pytest.mark.parametrize("how", [list_os, list_scandir, list_glob, list_pathlib, list_here])
def test_listing(how: Callable[[str], Any], folder: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.warns(NotRecordedWarning, match=rf"it listed {folder}.*offload\.Directory"):
        first = reading(log.path, how, str(folder))
    for _ in range(2):
        assert reading(log.path, how, offload.Directory(folder)) == first
    assert log.runs == 2


def test_what_lies_in_a_declared_directory(folder: Path, log: Log) -> None:
    @offload.task
    def total(log: str, folder: Any) -> int:
        mark(log)
        return sum(len(path.read_bytes()) for path in Path(folder).iterdir())

    assert total(log.path, offload.Directory(folder)) == total(log.path, offload.Directory(folder))
    assert log.runs == 1


def test_a_declared_file_by_another_path(folder: Path, log: Log, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    file = offload.File(tmp_path / "link" / "table.csv")

    @offload.task
    def read(log: str, file: Any) -> str:
        mark(log)
        return Path(file).resolve().read_text()

    assert read(log.path, file) == read(log.path, file)
    assert log.runs == 1


def test_a_file_that_the_function_reaches(folder: Path, log: Log) -> None:
    file = offload.File(folder / "table.csv")

    @offload.task
    def read(log: str) -> str:
        mark(log)
        return Path(file).read_text()

    assert read(log.path) == read(log.path) == "a,b\n1,2\n"
    assert log.runs == 1
    (folder / "table.csv").write_text("new")
    assert read(log.path) == "new"


def test_a_file_that_is_not_there_may_be_there_tomorrow(folder: Path) -> None:
    @offload.task
    def limit(path: str) -> int:
        try:
            with open(path) as file:
                return int(file.read())
        except FileNotFoundError:
            return 10

    path = folder / "limit"
    cure = f"it looked for {path}, which is not there; pass offload.Directory('{folder}') as an argument"
    with pytest.warns(NotRecordedWarning, match=re.escape(cure)):
        assert limit(str(path)) == 10

    @offload.task
    def cured(directory: offload.Directory) -> int:
        return int(limit.function(os.path.join(directory, "limit")))

    assert cured(offload.Directory(folder)) == 10
    assert offload.why(cured, offload.Directory(folder)).hit
    path.write_text("20")
    assert cured(offload.Directory(folder)) == 20
    with pytest.warns(NotRecordedWarning, match=f"it read {path}"):
        assert limit(str(path)) == 20


def test_a_file_that_belongs_to_the_code_is_declared_as_the_warning_says(folder: Path) -> None:
    path = folder / "table.csv"
    path.write_text("1")

    def read(number: int) -> int:
        return number + int(path.read_text())

    cure = re.escape(f"depends_on=[pathlib.Path('{path}')]")
    with pytest.warns(NotRecordedWarning, match=cure):
        assert offload.task(read)(1) == 2
    assert offload.task(read, depends_on=[path])(1) == 2
    path.write_text("2")
    assert offload.task(read, depends_on=[path])(1) == 3


def test_what_the_user_vouches_for(folder: Path, log: Log) -> None:
    vouched = offload.task(reading.function, effects="ignore")
    path = str(folder / "table.csv")
    assert vouched(log.path, read_open, path) == vouched(log.path, read_open, path)
    assert log.runs == 1
    with pytest.raises(offload.UsageError, match="effects"):
        offload.task(effects="none")(read_open)


def temporary_files() -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a", "b")
        path.parent.mkdir()
        path.write_text("written here")
        shutil.copytree(path.parent, Path(folder, "c"))
        found = [path.read_text(), *sorted(os.listdir(folder))]
        path.rename(path.with_name("c"))
        found.append(path.with_name("c").read_text())
    with tempfile.NamedTemporaryFile() as named, tempfile.TemporaryFile() as nameless:
        named.write(b"named")
        named.flush()
        nameless.write(b"x")
        found.append(Path(named.name).read_text())
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (x)")
    return found


def system_files() -> int:
    import locale
    import mimetypes
    import platform
    import zoneinfo
    from ctypes.util import find_library

    locale.getlocale()
    mimetypes.init()
    platform.platform()
    find_library("m")
    with open("/etc/hosts") as hosts, open("/proc/self/stat") as stat, open(os.devnull) as null:
        text = hosts.read() + stat.read() + null.read()
    return len(os.listdir("/usr/lib")) * 0 + len(text) * 0 + len(str(zoneinfo.ZoneInfo("UTC")))


def code() -> int:
    import importlib.metadata
    import importlib.resources
    import inspect
    import linecache

    import sklearn.datasets

    source = inspect.getsource(temporary_files)
    linecache.checkcache()
    importlib.metadata.version("numpy")
    with importlib.resources.files("sklearn.datasets").joinpath("data/iris.csv").open() as file:
        iris = file.read()
    return len(source) + len(iris) + len(sklearn.datasets.load_iris().data)


def caches() -> str:
    path = Path(os.environ["XDG_CACHE_HOME"], "library", "index")
    return path.read_text()


@pytest.mark.filterwarnings("ignore:.*the environment variable:offload.errors.EffectWarning")
@pytest.mark.parametrize("how", [temporary_files, system_files, code, caches])
def test_what_is_no_input(how: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache" / "library").mkdir(parents=True)
    (tmp_path / "cache" / "library" / "index").write_text("cached")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    @offload.task
    def run(how: Callable[[], Any]) -> Any:
        return how()

    first = run(how)
    assert run.submit(how).recalled
    assert run(how) == first


def test_a_file_dropped_among_distributions(log: Log) -> None:
    path = Path(np.__file__).parent.parent / "offload_test_data.txt"
    path.write_text("mine")
    try:
        with pytest.warns(NotRecordedWarning, match=path.name):
            reading(log.path, read_open, str(path))
    finally:
        path.unlink()


@offload.task
def logging(path: str, value: int) -> int:
    with open(path, "a") as file:
        file.write(f"{value}\n")
    return value


def test_a_file_that_is_written_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    path = tmp_path / "run.log"
    with pytest.warns(EffectWarning, match=rf"test_reads:logging: it wrote {path}"):
        assert logging(str(path), 1) == 1
    assert [logging(str(path), 1), logging(str(path), 2), logging(str(path), 2)] == [1, 2, 2]
    assert path.read_text() == "1\n2\n"


def test_what_was_there_before_it_was_written_to(tmp_path: Path) -> None:
    @offload.task
    def append(path: str) -> str:
        with open(path, "a") as file:
            file.write("new")
        return Path(path).read_text()

    path = tmp_path / "notes"
    assert append(str(path)) == "new"
    path.write_text("old ")
    other = tmp_path / "others"
    other.write_text("old ")
    with pytest.warns(NotRecordedWarning, match=f"it read {other}"):
        assert append(str(other)) == "old new"


def test_reading_in_native_code_without_an_input(folder: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    import polars as pl

    monkeypatch.setattr("offload.effects.native_reads._refused", True)  # as where the kernel tells nothing

    @offload.task
    def rows(log: str, path: Any) -> int:
        mark(log)
        return pl.read_csv(os.fspath(path)).height

    path = folder / "table.csv"
    with pytest.warns(NotRecordedWarning, match=r"it reaches polars\.read_csv"):
        assert rows(log.path, str(path)) == 1
    assert rows(log.path, offload.File(path)) == rows(log.path, offload.File(path)) == 1
    assert log.runs == 2


def test_lines_that_are_remembered(folder: Path, log: Log) -> None:
    import linecache

    @offload.task
    def line(log: str, path: str) -> str:
        mark(log)
        return linecache.getline(path, 2)

    for _ in range(2):
        with pytest.warns(NotRecordedWarning, match=r"it reaches linecache\.getline"):
            assert line(log.path, str(folder / "table.csv")) == "1,2\n"
    assert log.runs == 2


def test_where_the_current_directory_is_gone(folder: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    here = folder / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    with pytest.warns(NotRecordedWarning, match=r"it read .*table\.csv"):
        assert reading(log.path, read_open, str(folder / "table.csv")) == "a,b\n1,2\n"
