"""``ignore``: what the user vouches for does not count, and still reaches the function."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import pytest

import offload
from offload.errors import EncodeError, IdentityError, UsageError
from offload.registry import session
from tests.compute.conftest import Log, Script
from tests.compute.test_calls import mark

pytestmark = pytest.mark.usefixtures("home")


def iter_once() -> Any:
    """Something that cannot be pickled."""
    return (x for x in [1])


class Registry:
    """It fills itself, and cannot be pickled."""

    def __init__(self) -> None:
        self.lock = iter_once()
        self.known: dict[int, int] = {}

    def double(self, x: int) -> int:
        return self.known.setdefault(x, 2 * x)


class Plain:
    """It can be pickled, and fills itself."""

    def __init__(self) -> None:
        self.known: dict[int, int] = {}

    def double(self, x: int) -> int:
        return self.known.setdefault(x, 2 * x)


registry = Registry()
plain = Plain()
COUNT = 0


def helper(x: int) -> int:
    return registry.double(x)


def by_helper(log: str, x: int) -> int:
    mark(log)
    return helper(x)


def test_a_global_is_not_looked_into(log: Log) -> None:
    with pytest.raises(IdentityError, match="helper: registry") as caught:
        offload.task(by_helper)(log.path, 1)
    assert "ignore=['registry']" in str(caught.value.hint)
    task = offload.task(by_helper, ignore=["registry"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it fills itself, which nobody is told
        assert [task(log.path, x) for x in (1, 2, 1)] == [2, 4, 2]
    assert log.runs == 2
    registry.known.clear()
    session.close_sessions()
    assert offload.task(by_helper, ignore=["registry"])(log.path, 1) == 2
    assert log.runs == 2


def counting(log: str, x: int) -> int:
    global COUNT
    COUNT += 1
    mark(log)
    return x


def test_a_global_that_is_rebound(log: Log) -> None:
    task = offload.task(counting, ignore=["COUNT"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [task(log.path, 1), task(log.path, 1)] == [1, 1]
    assert log.runs == 1


def with_connection(log: str, x: int, *, connection: Any = None) -> int:
    mark(log)
    return x + (connection is not None)


def test_a_parameter(log: Log) -> None:
    with pytest.raises(EncodeError, match="argument connection") as caught:
        offload.task(with_connection)(log.path, 1, connection=iter_once())
    assert "ignore=['connection']" in str(caught.value.hint)
    task = offload.task(with_connection, ignore=["connection"])
    assert [task(log.path, 1, connection=iter_once()) for _ in range(2)] == [2, 2]
    assert task(log.path, 1, connection="another") == 2  # you have vouched for it
    assert task(log.path, 2) == 2
    assert log.runs == 2


class Model:
    def __init__(self, rate: int) -> None:
        self.rate = rate

    @offload.task(ignore=["self"])
    def area(self, x: int) -> int:
        return 2 * x


def test_the_object_of_a_method() -> None:
    assert [Model(1).area(2), Model(3).area(2)] == [4, 4]
    assert offload.why(Model(5).area, 2).hit


def by_plain(log: str, x: int, extra: Any) -> list[Any]:
    mark(log)
    return [plain.double(x), extra]


def test_on_workers_it_is_passed(log: Log) -> None:
    task = offload.task(by_plain, ignore=["plain", "extra"])
    with offload.Deployment(in_process=True):
        assert task.submit(log.path, 1, [1]).result() == [2, [1]]
        assert offload.gather(task.map([log.path] * 2, [1, 2], ["other", "other"])) == [[2, [1]], [4, "other"]]
    assert log.runs == 2


SCRIPT = """
import offload, units
from units import registry
@offload.task(ignore=["registry"])
def double(x):
    return registry.double(x)
@offload.task(ignore=["units.registry"])
def treble(x):
    return units.registry.double(x) + x
print(offload.gather(double.map([1, 2])), offload.gather(treble.map([1])))
"""
UNITS = """
class Registry:
    def __init__(self):
        self.lock = (x for x in ())
    def double(self, x):
        return 2 * x
registry = Registry()
"""


def test_what_cannot_be_pickled_is_imported_by_workers(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    script.write("units.py", UNITS)
    monkeypatch.setenv("PYTHONPATH", str(script.path))
    assert script.output(SCRIPT) == "[2, 4] [3]\n"


def test_what_cannot_be_pickled_and_not_be_imported() -> None:
    names: dict[str, Any] = {"__name__": "__main__", "registry": Registry()}
    exec("def f(x): return registry.double(x)", names)
    with pytest.raises(IdentityError, match="the function f cannot be sent") as caught:
        offload.task(names["f"], ignore=["registry"]).submit(1)
    assert "in a module of its own" in str(caught.value.hint)


def test_names_that_are_none() -> None:
    task = offload.task(with_connection, ignore=["conection"])
    with pytest.raises(UsageError, match="conection is neither a parameter of with_connection nor") as caught:
        task("log", 1)
    assert caught.value.hint == "did you mean connection?"
    with pytest.raises(UsageError, match="neither"):
        offload.task(with_connection, ignore=["sys.nothing"])("log", 1)
    wrongs: list[Any] = ["connection", [1], [""]]
    for wrong in wrongs:
        with pytest.raises(UsageError, match="ignore takes a list of names"):
            offload.task(with_connection, ignore=wrong)


def test_it_is_shown(log: Log) -> None:
    task = offload.task(by_plain, ignore=["plain", "extra"])
    shown = offload.identity(task)
    assert [(part.name, part.value) for part in shown.parts if part.kind == "ignored"] == [
        ("plain", "does not count"),
        ("extra", "does not count"),
    ]
    assert ("plain.double", "ignored") in [read for part in shown.parts for read in part.reads]
    task(log.path, 1, 2)
    explanation = offload.why(task, log.path, 1, 3)
    assert explanation.hit
    assert {"ignored plain", "ignored extra"} <= set(explanation.consists_of)
    assert not any("argument extra" in line for line in explanation.consists_of)


def test_nothing_else_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[__name__]
    task = offload.task(reads_both, ignore=["COUNT"])
    before = task.graph().checksum
    monkeypatch.setattr(module, "RATE", 3)
    assert task.graph().checksum != before
    monkeypatch.setattr(module, "RATE", 0)
    assert task.graph().checksum == before


RATE = 0


def reads_both() -> int:
    return RATE + COUNT


def test_the_library_of_what_is_ignored_counts() -> None:
    import numpy as np

    names: dict[str, Any] = {"__name__": __name__, "table": np.arange(3)}
    exec("def f(x): return table[x]", names)
    task = offload.task(names["f"], ignore=["table"])
    assert any(part.kind == "distribution" and part.name == "numpy" for part in offload.identity(task).parts)


def test_a_task_within_another_vouches_only_for_itself() -> None:
    with pytest.raises(IdentityError, match="registry"):
        offload.task(outer)(1)
    assert offload.task(outer, ignore=["registry"])(1) == 2


inner = offload.task(helper, ignore=["registry"])


def outer(x: int) -> int:
    result: int = inner(x)
    return result
