"""offload.why: whether a call is a hit, and if not, which part differs."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import offload
from offload.api.why import explain_transformation
from offload.errors import EncodeError, NotFoundError, UsageError
from offload.registry import session
from offload.tasks.futures import Future
from tests.compute.conftest import Log
from tests.compute.test_callables import Square
from tests.compute.test_calls import FACTOR, add, scaled

pytestmark = pytest.mark.usefixtures("home")

SOURCE = """
import offload

RATE = 3

def helper(x):
    return x * RATE

@offload.task
def work(x, y=1):
    return helper(x) + y
"""


class Project:
    """A module of the user's that can be edited and imported again."""

    def __init__(self, path: Path) -> None:
        self.path = path / "project_of_why.py"
        self.version = 0

    def load(self, *replacements: tuple[str, str]) -> Any:
        text = SOURCE
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        self.path.write_text(text)
        module = ModuleType("project_of_why")
        module.__file__ = str(self.path)
        sys.modules["project_of_why"] = module
        exec(compile(text, self.path, "exec"), vars(module))
        return module.work


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    yield Project(tmp_path)
    sys.modules.pop("project_of_why", None)


def parts(explanation: Any) -> list[tuple[str, str | None, str | None]]:
    return [(d.part, d.before, d.after) for d in explanation.differences]


def test_before_the_first_run(project: Project) -> None:
    found = offload.why(project.load(), 2)
    assert not found.hit
    assert found.nearest is None
    assert "no call of this function is recorded" in str(found)
    assert session.current().database.runs() == []


def test_a_hit(project: Project) -> None:
    work = project.load()
    work(2)
    found = offload.why(work, 2)
    assert found.hit
    assert str(found).startswith("hit: project_of_why:work (")
    assert "function project_of_why:helper" in found.consists_of
    assert "argument x = 2" in found.consists_of
    assert not offload.why(work, 3).hit


def test_another_argument(project: Project) -> None:
    work = project.load()
    work(2)
    found = offload.why(work, 5)
    assert parts(found) == [("argument x", "2", "5")]
    assert "  argument x: 2 -> 5" in str(found).splitlines()


def test_the_nearest_of_several_runs(project: Project) -> None:
    work = project.load()
    for x, y in (1, 1), (2, 7), (3, 3):
        work(x, y)
    found = offload.why(work, 9, 7)
    assert parts(found) == [("argument x", "2", "9")]
    assert found.nearest == work.identify((2, 7), {}).transformation


def test_large_arguments_are_told_apart(project: Project) -> None:
    work = project.load()
    work(1, 10**200)
    found = offload.why(work, 1, 10**200 + 1)
    ((part, before, after),) = parts(found)
    assert part == "argument y"
    assert before != after


def test_a_changed_helper_shows_its_source(project: Project) -> None:
    project.load()(2)
    found = offload.why(project.load(("x * RATE", "x * RATE + 1")), 2)
    (difference,) = found.differences
    assert difference.part == "code of project_of_why:helper"
    assert difference.detail is not None
    assert "-    return x * RATE" in difference.detail.splitlines()
    assert "+    return x * RATE + 1" in difference.detail.splitlines()


def test_a_changed_global(project: Project) -> None:
    project.load()(2)
    found = offload.why(project.load(("RATE = 3", "RATE = 4")), 2)
    assert parts(found) == [("project_of_why:helper reads RATE", "3", "4")]


def test_comments_are_no_difference(project: Project) -> None:
    project.load()(2)
    assert offload.why(project.load(("RATE = 3", "RATE = 3  # percent")), 2).hit


def test_a_helper_that_is_new(project: Project) -> None:
    project.load()(2)
    other = ("def helper(x):\n    return x * RATE", "def deep(x):\n    return x\n\ndef helper(x):\n    return deep(x)")
    labels = {d.part for d in offload.why(project.load(other), 2).differences}
    assert {"function project_of_why:deep", "code of project_of_why:helper"} <= labels


def test_a_new_version_of_a_library(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    numpy_mean = ("return x * RATE", "import numpy\n    return float(numpy.mean([x])) * RATE")
    project.load(numpy_mean)(2)
    version = next(line for line in offload.why(project.load(numpy_mean), 2).consists_of if line.startswith("numpy=="))
    monkeypatch.setattr(
        "offload.identity.calls.distributions", lambda modules: ["numpy==99.0"] if "numpy" in modules else []
    )
    found = offload.why(project.load(numpy_mean), 2)
    assert not found.hit
    assert parts(found) == [("numpy", version.removeprefix("numpy=="), "99.0")]


def test_json(project: Project) -> None:
    work = project.load()
    work(2)
    told = json.loads(json.dumps(offload.why(work, 5).as_dict()))
    assert told["hit"] is False
    assert told["differences"] == [{"part": "argument x", "before": "2", "after": "5", "detail": None}]
    assert set(told) == {"hit", "label", "transformation", "consists_of", "nearest", "differences", "reason", "used"}


def test_methods(log: Log) -> None:
    Square(2).area(log.path)
    assert offload.why(Square(2).area, log.path).hit
    assert [d.part for d in offload.why(Square(3).area, log.path).differences] == ["argument self"]


def test_a_recorded_call(log: Log) -> None:
    add(log.path, 1)
    add(log.path, 2)
    now = session.current()
    second, _ = now.database.runs()
    found = explain_transformation(now, second.transformation[:12])
    assert found.hit
    assert parts(found) == [("argument a", "1", "2")]
    with pytest.raises(NotFoundError):
        explain_transformation(now, "00" * 32)


def test_a_changed_value(log: Log) -> None:
    scaled(log.path, 1)
    FACTOR[0] = 9
    try:
        ((part, before, after),) = parts(offload.why(scaled, log.path, 1))
    finally:
        FACTOR[0] = 2
    assert part == "tests.compute.test_calls:scaled reads FACTOR"
    assert before != after


@pytest.mark.parametrize("thing", [len, 1, "f"])
def test_only_tasks_can_be_explained(thing: Any) -> None:
    with pytest.raises(UsageError, match=r"decorated with @offload\.task"):
        offload.why(thing, 1)


def test_the_reason(project: Project) -> None:
    work = project.load()
    work(2)
    assert offload.why(work, 2).reason == "recorded, and its result is stored"
    assert offload.why(work, 3).reason == "it differs from every recorded call"
    now = session.current()
    now.store.collect(0)
    assert offload.why(work, 2).reason == "it was computed before, but its result is not stored any more"
    work(2)
    now.database.forget([work.identify((2,), {}).transformation])
    assert offload.why(work, 2).reason == "it was computed before, and forgotten"


def test_a_global_that_can_change_is_shown(project: Project) -> None:
    listed = ("RATE = 3", "RATE = [3, 'x']"), ("x * RATE", "x * RATE[0]")
    project.load(*listed)(2)
    other = ("RATE = 3", "RATE = [4, 'x']"), ("x * RATE", "x * RATE[0]")
    assert parts(offload.why(project.load(*other), 2)) == [("project_of_why:helper reads RATE", "[3, 'x']", "[4, 'x']")]
    long = ("RATE = 3", "RATE = list(range(99))"), ("x * RATE", "x * RATE[0]")
    project.load(*long)(2)
    longer = ("RATE = 3", "RATE = [9] + list(range(98))"), ("x * RATE", "x * RATE[0]")
    ((_, before, after),) = parts(offload.why(project.load(*longer), 2))
    assert before is not None
    assert before != after
    assert before.startswith("99 items (")


def test_a_file_with_other_content(tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("one")

    @offload.task
    def length(file: Any) -> int:
        return len(Path(file).read_text())

    length(offload.File(words))
    words.write_text("three")
    ((part, before, after),) = parts(offload.why(length, offload.File(words)))
    assert part == "argument file"
    assert before is not None
    assert before.startswith("words (")
    assert after != before
    words.rename(tmp_path / "text")
    assert parts(offload.why(length, offload.File(tmp_path / "text"))) == [("argument file", "words", "text")]


def test_the_same_function_under_another_name(project: Project) -> None:
    work = project.load()
    work(2)
    now = session.current()
    (run,) = now.database.runs()
    work.label = "__main__:work"
    found = offload.why(work, 3)
    assert found.nearest == run.transformation
    assert parts(found) == [("argument x", "2", "3")]


def test_fixed_arguments_of_a_partial(project: Project) -> None:
    work = project.load().function
    tasks = [
        offload.task(functools.partial(work, *args, **named)) for args, named in (((4,), {"y": 1}), ((5,), {"y": 2}))
    ]
    tasks[0]()
    assert parts(offload.why(tasks[1])) == [
        ("argument y", "1", "2"),
        ("fixed argument 1", "4", "5"),
        ("fixed argument y", "1", "2"),
    ]


class Power:
    def __init__(self, exponent: int) -> None:
        self.exponent = exponent

    def of(self, x: int) -> int:
        return int(x**self.exponent)


def test_the_object_of_a_method() -> None:
    first, second = (offload.task(Power(exponent).of) for exponent in (2, 3))
    first(1)
    ((part, before, after),) = parts(offload.why(second, 1))
    assert part == "object of the method"
    assert before != after


def test_what_was_assigned_to_a_class(project: Project) -> None:
    classes = (
        "def helper(x):\n    return x * RATE",
        "class helper:\n    KIND = 1\n    def __new__(cls, x): return x * RATE",
    )
    project.load(classes)(2)
    work = project.load(classes)
    work.function.__globals__["helper"].KIND = 2
    assert parts(offload.why(work, 2)) == [("project_of_why:helper.KIND", "1", "2")]


def test_a_default_that_is_computed(project: Project) -> None:
    computed = ("def helper(x):", "def helper(x, *, more=RATE):")
    project.load(computed)(2)
    work = project.load(computed)
    work.function.__globals__["helper"].__kwdefaults__["more"] = 5
    assert parts(offload.why(work, 2)) == [("default more of project_of_why:helper", "3", "5")]


def test_code_and_a_global_at_once(project: Project) -> None:
    project.load()(2)
    found = parts(offload.why(project.load(("RATE = 3", "RATE = 4"), ("return x * RATE", "return RATE * x + 0")), 2))
    assert [part for part, *_ in found] == ["project_of_why:helper reads RATE", "code of project_of_why:helper"]


def test_objects_are_shown_by_their_attributes(project: Project) -> None:
    work = project.load(("return helper(x) + y", "return y"))
    work(SimpleNamespace(rate=2))
    (part,) = parts(offload.why(work, SimpleNamespace(rate=3)))
    assert part == ("argument x", "SimpleNamespace(rate=2)", "SimpleNamespace(rate=3)")
    work(SimpleNamespace(rate=[2]))
    (found,) = offload.why(work, SimpleNamespace(rate=[3])).differences
    assert found.before is not None
    assert found.before.startswith("SimpleNamespace(...) (")
    assert "what is not shown here differs" in "\n".join(found.lines())


def test_futures_stand_for_their_results(project: Project) -> None:
    work, future = project.load(), Future[int]()
    with pytest.raises(UsageError, match="is a future without a result yet"):
        offload.why(work, 1, future)
    with pytest.raises(EncodeError, match="argument y: a future is no value"):
        work(1, future)
    future.set_result(7)
    work(1, 7)
    assert offload.why(work, 1, future).hit
    assert offload.why(work, [future]).consists_of[-2] == "argument x = [7]"


def test_a_diff_of_thousands_of_lines(project: Project) -> None:
    lines = "".join(f"    x += {number}\n" for number in range(1000))
    before, after = (("def helper(x):\n", f"def helper(x):\n{text}") for text in (lines, lines.replace("+=", "-=")))
    project.load(before)(2)
    found = offload.why(project.load(after), 2)
    assert len(found.text().splitlines()) < 250
    assert "... and 1,8" in found.text()
    (difference,) = found.differences
    assert len((difference.detail or "").splitlines()) > 2000
