"""What is declared beside the code: environment variables, further dependencies, a version."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import offload
from offload.errors import UsageError
from tests.compute.conftest import Script
from tests.conftest import Offload

pytestmark = pytest.mark.usefixtures("home")


def made(text: str, **options: Any) -> Any:
    names: dict[str, Any] = {"__name__": "declared_app", "ran": []}
    exec("import os\n" + text, names)
    return offload.task(**options)(names["f"])


def runs(task: Any, *args: Any) -> tuple[bool, Any]:
    """Whether a call would be computed, and what it returns."""
    hit = offload.why(task, *args).hit
    return not hit, task(*args)


READS = "def f(x): return x, os.environ.get('OFFLOAD_TEST_RATE')"


def test_a_variable_counts_by_its_value_and_its_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    task = made(READS, environ=["OFFLOAD_TEST_RATE"])
    monkeypatch.delenv("OFFLOAD_TEST_RATE", raising=False)
    assert runs(task, 1) == (True, (1, None))
    monkeypatch.setenv("OFFLOAD_TEST_RATE", "")
    assert runs(task, 1) == (True, (1, ""))
    monkeypatch.setenv("OFFLOAD_TEST_RATE", "2")
    assert runs(task, 1) == (True, (1, "2"))
    assert runs(made(READS, environ=["OFFLOAD_TEST_RATE"]), 1) == (False, (1, "2"))
    monkeypatch.delenv("OFFLOAD_TEST_RATE")
    assert runs(task, 1) == (False, (1, None))


def test_why_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    task = made(READS, environ=["OFFLOAD_TEST_RATE"])
    monkeypatch.setenv("OFFLOAD_TEST_RATE", "1")
    task(1)
    monkeypatch.setenv("OFFLOAD_TEST_RATE", "2")
    explanation = offload.why(task, 1)
    assert "variable OFFLOAD_TEST_RATE" in explanation.consists_of
    assert [(d.part, d.before, d.after) for d in explanation.differences] == [
        ("variable OFFLOAD_TEST_RATE", "'1'", "'2'")
    ]


@pytest.mark.real
@pytest.mark.usefixtures("no_cluster")
def test_workers_run_with_the_values_of_the_moment_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    task = made(READS, environ=["OFFLOAD_TEST_RATE"])
    plain = made("def f(x): return x, os.environ.get('OFFLOAD_TEST_RATE')")
    monkeypatch.delenv("OFFLOAD_TEST_RATE", raising=False)
    assert offload.gather(task.map([1]), timeout=60) == [(1, None)]
    for value in ("2", "3"):
        monkeypatch.setenv("OFFLOAD_TEST_RATE", value)
        assert offload.gather(task.map([1, 2]), timeout=60) == [(1, value), (2, value)]
    assert plain.submit(7).result(60) == (7, None)  # the workers' own environment is as it was


@pytest.mark.parametrize(
    "options",
    [{"environ": "NAME"}, {"environ": [1]}, {"depends_on": "x"}, {"depends_on": {1}}, {"version": 2}],
)
def test_what_is_not_well_formed_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        offload.task(**options)(lambda x: x)
    assert caught.value.hint


def edits(tmp_path: Path) -> dict[str, tuple[Any, Callable[[], object]]]:
    helpers: dict[str, Any] = {"__name__": "helpers_app"}
    exec("K = 1\ndef g(x): return x + K\nclass A:\n    k = 1\n", helpers)
    module = ModuleType("module_app")
    module.K = 1  # type: ignore[attr-defined]
    data = tmp_path / "data"
    data.write_text("one")
    folder = tmp_path / "folder"
    folder.mkdir()
    values = [1]
    return {
        "function": (helpers["g"], lambda: helpers.update(K=2)),
        "class": (helpers["A"], lambda: setattr(helpers["A"], "k", 2)),
        "module": (module, lambda: setattr(module, "K", 2)),
        "file": (offload.File(data), lambda: data.write_text("two!")),
        "path": (data, lambda: data.write_text("two!")),
        "directory": (folder, lambda: (folder / "new").write_text("")),
        "value": (values, lambda: values.append(2)),
        "task": (offload.task(helpers["g"]), lambda: helpers.update(K=2)),
    }


@pytest.mark.parametrize("kind", ["function", "class", "module", "file", "path", "directory", "value", "task"])
def test_a_dependency_counts(tmp_path: Path, kind: str) -> None:
    dependency, edit = edits(tmp_path)[kind]
    task = made("def f(x): return eval('x')", depends_on=[dependency])
    assert runs(task, 1) == (True, 1)  # without a warning of eval: what it may lead to is declared
    assert runs(task, 1) == (False, 1)
    edit()
    assert runs(task, 1)[0]


def test_a_version_counts_instead_of_the_code() -> None:
    assert runs(made("def f(x): return x + 1", version="1"), 1) == (True, 2)
    assert runs(made("def f(x): return x + 2", version="1"), 1) == (False, 2)  # as the user has insisted
    assert runs(made("def f(x): return x + 2", version="2"), 1) == (True, 3)
    assert runs(made("def f(x): return x + 2", version="2"), 2) == (True, 4)
    assert runs(made("def f(x): return x + 3"), 1) == (True, 4)
    assert "version of declared_app:f" in offload.why(made("def f(x): return x", version="1"), 1).consists_of


@pytest.mark.real
@pytest.mark.usefixtures("no_cluster")
def test_a_version_s_function_runs_on_workers_with_all_that_it_reaches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "declared_helpers.py").write_text("def g(x): return x + 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    task = made("K = 5\ndef f(x):\n    from declared_helpers import g\n    return g(x) + K", version="1")
    assert task.submit(1).result(60) == 7
    assert os.environ.get("OFFLOAD_TEST_RATE") is None
    del sys.modules["declared_helpers"]


def test_the_declarations_of_a_helper_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLOAD_TEST_RATE", "1")
    names: dict[str, Any] = {"__name__": "declared_app", "offload": offload, "os": os}
    exec(
        "@offload.task(environ=['OFFLOAD_TEST_RATE'])\ndef g(x): return os.environ['OFFLOAD_TEST_RATE'] * x\n"
        "def f(x): return g(x)\n",
        names,
    )
    task = offload.task(names["f"])
    assert runs(task, 2) == (True, "11")
    monkeypatch.setenv("OFFLOAD_TEST_RATE", "2")
    assert runs(task, 2) == (True, "22")


CHANGES = """
import offload, os, pathlib
PATH = pathlib.Path("data").absolute()
@offload.task(depends_on=[3, PATH], effects="ignore")
def inner(n): return PATH.read_text(), n
@offload.task(effects="ignore")
def outer(text, n):
    PATH.write_text(text)
    return inner(n)
CALLS
for text in ("old", "new", "one", "two"):
    PATH.write_text(text)
    print([(found, found == (text, n)) for n in (1, 2) if offload.why(inner, n).hit and (found := inner(n))])
"""
WANTED = "[]\n[(('new', 1), True)]\n[]\n[(('two', 2), True)]\n"


@pytest.mark.real
@pytest.mark.parametrize("up", [False, True])
def test_a_call_counts_by_what_another_has_made_of_its_file(
    script: Script, offload: Offload, monkeypatch: pytest.MonkeyPatch, up: bool
) -> None:
    """Code that goes by value takes what was declared along."""
    script.write("data", "old")
    if up:
        assert offload("up", "--name", "one", "--workers", "1").returncode == 0
        monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "one")
    calls = 'PATH.write_text("old")\nfirst, second = outer.submit("new", 1), outer.submit("two", 2)\n'
    done = script.run(CHANGES.replace("CALLS", calls + "first.result(), second.result()"))
    assert (done.returncode, done.stdout) == (0, WANTED), done.stderr
    if up:
        assert offload("down", "one").returncode == 0
