"""Values that are made of a path, and read the file when the function asks: what the file holds counts."""

from __future__ import annotations

import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.dataset
import pytest

import offload
from offload.errors import EncodeError
from offload.identity.values.encode import identify
from offload.transport.files import Staged

pytestmark = pytest.mark.usefixtures("home")


def fill(folder: Path, value: int) -> None:
    """Write files of the same size and names."""
    table = pl.DataFrame({"a": [value]})
    table.write_csv(folder / "x.csv")
    table.write_parquet(folder / "parquet" / "x.parquet")
    table.write_ipc(folder / "é x.arrow")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a table in a few formats."""
    (tmp_path / "parquet").mkdir()
    fill(tmp_path, 1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@offload.task
def collected(plan: Any) -> int:
    return int(plan.collect()["a"][0])


PLANS: dict[str, Callable[[], Any]] = {
    "csv": lambda: pl.scan_csv("x.csv"),
    "absolute": lambda: pl.scan_csv(Path("x.csv").absolute()),
    "pattern": lambda: pl.scan_csv("*.csv"),
    "directory": lambda: pl.scan_parquet("parquet/"),
    "other letters": lambda: pl.scan_ipc("é x.arrow"),
    "further steps": lambda: pl.scan_parquet("parquet/x.parquet").filter(pl.col("a") > 0),
    "joined": lambda: pl.LazyFrame({"a": [1, 2]}).join(pl.scan_csv("x.csv"), on="a"),
}


@pytest.mark.parametrize("make", PLANS.values(), ids=PLANS)
def test_a_plan_counts_with_the_files_that_it_reads(make: Callable[[], Any], folder: Path) -> None:
    first = collected(make())
    assert first == 1
    assert collected.identify((make(),), {}).transformation == collected.identify((make(),), {}).transformation
    fill(folder, 2)
    assert collected(make()) == 2


def dataset() -> Any:
    return pyarrow.dataset.dataset("parquet/x.parquet")


@pytest.mark.parametrize("make", [dataset, lambda: pl.scan_pyarrow_dataset(dataset())], ids=["itself", "in a plan"])
def test_a_dataset_counts_with_its_files(make: Callable[[], Any], folder: Path) -> None:
    data = make()
    before = identify(data)
    assert identify(data) == before
    fill(folder, 2)
    assert identify(data) != before


def test_a_plan_in_memory_reads_nothing(folder: Path) -> None:
    plan = pl.LazyFrame({"a": ["x.csv"]}).with_columns(pl.lit("none.csv"))
    before = identify(plan)
    fill(folder, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert identify(plan) == before


PLAN: Any = None


@offload.task
def of_a_global() -> int:
    return int(PLAN.collect()["a"][0])


def test_a_global_plan_counts_with_its_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PLAN", pl.scan_csv("x.csv"))
    assert [of_a_global(), of_a_global()] == [1, 1]
    fill(folder, 2)
    assert of_a_global() == 2


def test_the_files_of_a_plan_are_inputs(folder: Path) -> None:
    call = collected.identify((pl.scan_csv("x.csv"),), {})
    assert [file.path for file, _ in call.files] == [str(folder / "x.csv")]


def test_a_plan_goes_to_workers(folder: Path) -> None:
    with offload.Deployment(in_process=True):
        assert collected.submit(pl.scan_csv("x.csv")).result() == 1
        fill(folder, 2)
        assert collected.submit(pl.scan_csv("x.csv")).result() == 2


def test_another_file_where_the_call_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = collected.identify((pl.scan_csv("x.csv"),), {})
    staged = call.packed()
    assert isinstance(staged, Staged)
    arguments = staged.arguments
    assert pickle.loads(arguments)[0][1] == {}
    fill(folder, 2)
    with pytest.raises(EncodeError, match=r"x\.csv, which an argument is made of, is not the same where the call runs"):
        pickle.loads(arguments)


def test_a_class_that_says_no_module_is_not_asked_for_paths() -> None:
    sympy = pytest.importorskip("sympy")
    sums = [sympy.Function("f")(sympy.Symbol("x")) + n for n in (1, 1, 2)]
    one, same, other = map(identify, sums)
    assert one == same != other
