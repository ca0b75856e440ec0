"""Arguments that a call changes: a script does the same the second time as the first, and as without offload."""

from __future__ import annotations

import asyncio
import functools
import linecache
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import offload
from offload.api import submit
from offload.engines.base import InlineEngine
from offload.engines.batching import Batcher
from offload.errors import EffectWarning, NotRecordedWarning
from offload.identity.values.encode import identify

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have submitted calls run in this process, on copies of their arguments."""
    batcher = Batcher(InlineEngine)
    monkeypatch.setattr(submit, "_dispatchers", {None: batcher})
    yield
    batcher.close()


class Counter:
    """Its class keeps how often it was asked."""

    count = 0

    def step(self) -> int:
        Counter.count += 1
        return Counter.count


class Walk:
    """Has a generator of its own."""

    def __init__(self) -> None:
        self.chance = random.Random(1)

    def step(self) -> float:
        return self.chance.random()


class Lazy:
    """Computes an attribute when it is asked for, and keeps it."""

    def __init__(self, value: int) -> None:
        self.value = value

    @functools.cached_property
    def twice(self) -> int:
        return 2 * self.value


class OwnCache:
    """A `cached_property` as many libraries have one."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __get__(self, instance: Any, owner: type) -> Any:
        value = vars(instance)[self.function.__name__] = self.function(instance)
        return value


class Field:
    """Takes what is assigned, and keeps it under its own name, as many validators do."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        return vars(instance).get(self.name)

    def __set__(self, instance: Any, value: Any) -> None:
        vars(instance)[self.name] = value


class Order:
    """Has an attribute that is assigned for the first time by a call."""

    amount = Field()


class Nested:
    """Holds what computes attributes."""

    def __init__(self) -> None:
        self.parts = [Lazy(1), Lazy(2)]
        self.me = self

    @OwnCache
    def total(self) -> int:
        return sum(part.twice for part in self.parts)


def append(into: list[int]) -> int:
    into.append(1)
    return len(into)


def column(frame: pd.DataFrame) -> int:
    frame["z"] = 1
    return len(frame.columns)


def normalise(array: np.ndarray[Any, Any]) -> float:
    array /= array.sum()
    return float(array[0])


def fit(model: LinearRegression) -> float:
    model.fit([[0.0], [1.0]], [1.0, 3.0])
    return float(model.coef_[0])


def step(walker: Any) -> float:
    return float(walker.step())


def draw(chance: Any) -> float:
    return float(chance.random())


def deep(nested: dict[str, list[dict[str, int]]]) -> int:
    nested["a"][0]["b"] += 1
    return nested["a"][0]["b"]


def assign(order: Order) -> int:
    order.amount = 3
    return 3


def take(items: set[int]) -> int:
    return items.pop()


CHANGES: list[tuple[Callable[[Any], Any], Callable[[], Any]]] = [
    (append, lambda: [0]),
    (column, lambda: pd.DataFrame({"a": [1, 2]})),
    (normalise, lambda: np.arange(1.0, 4.0)),
    (fit, LinearRegression),
    (step, Walk),
    (draw, lambda: np.random.default_rng(3)),
    (draw, lambda: random.Random(3)),
    (deep, lambda: {"a": [{"b": 1}]}),
    (take, lambda: {5}),
    (assign, Order),
]


@pytest.mark.parametrize(("function", "make"), CHANGES, ids=lambda one: getattr(one, "__name__", ""))
def test_an_argument_that_is_changed(function: Callable[[Any], Any], make: Callable[[], Any]) -> None:
    """The result is given back and not recorded, so that the argument is changed the next time, too."""
    task = offload.task(function)
    expected, plain = make(), make()
    values = [function(expected)]
    for _ in range(2):
        argument = make()
        with pytest.warns(NotRecordedWarning, match=r"changed its argument \w+"):
            values.append(task(argument))
        assert identify(argument) == identify(expected)
    assert values == [values[0]] * 3
    assert not offload.why(task, plain).hit


def test_by_keyword_and_by_method() -> None:
    @offload.task
    def both(kept: list[int], *, more: list[int]) -> int:
        more.append(1)
        return len(kept) + len(more)

    with pytest.warns(NotRecordedWarning, match="argument more"):
        both([1], more=[])

    class Sum:
        def __init__(self) -> None:
            self.value = 0

        @offload.task
        def add(self, number: int) -> int:
            self.value += number
            return self.value

    with pytest.warns(NotRecordedWarning, match="argument self"):
        Sum().add(2)


def test_what_the_class_of_an_argument_keeps() -> None:
    task = offload.task(step)
    counter = Counter()
    with pytest.warns(NotRecordedWarning, match="or what its class keeps"):
        assert [task(counter), task(counter)] == [1, 2]
    Counter.count = 0
    with pytest.warns(NotRecordedWarning):
        assert [task(counter), task(counter)] == [1, 2]
    Counter.count = 0


@pytest.mark.parametrize(
    ("function", "argument", "value"), [(lambda a: a.twice, Lazy(3), 6), (lambda a: a.total, Nested(), 6)]
)
def test_attributes_that_an_argument_computes_and_keeps(
    function: Callable[[Any], int], argument: Any, value: int
) -> None:
    """They change nothing that anybody could tell, so the result is recorded."""
    task = offload.task(function)
    fresh = type(argument)(3) if isinstance(argument, Lazy) else Nested()
    assert task(argument) == value
    assert offload.why(task, fresh).hit


def test_the_user_may_vouch_for_it() -> None:
    task = offload.task(append, effects="ignore")
    assert task([0]) == 2
    assert offload.why(task, [0]).hit


def test_who_submits_sends_a_copy() -> None:
    """Then nothing of the caller's is changed, neither now nor when it is recalled; a direct call does change it."""
    task = offload.task(append)
    items = [0]
    with offload.Deployment(in_process=True):
        assert task.submit(items).result() == 2
        assert task.submit(items).recalled
    assert items == [0]
    with pytest.warns(NotRecordedWarning, match="argument into"):
        assert task(items) == 2
    assert items == [0, 1]


def test_of_a_coroutine() -> None:
    @offload.task
    async def add(into: list[int]) -> int:
        into.append(1)
        return len(into)

    with pytest.warns(NotRecordedWarning, match="argument into"):
        asyncio.run(add([]))


@pytest.mark.parametrize(("function", "make"), CHANGES, ids=lambda one: getattr(one, "__name__", ""))
def test_what_was_submitted_does_not_stand_for_a_direct_call(
    function: Callable[[Any], Any], make: Callable[[], Any], inline: None
) -> None:
    """A submitted call works on a copy, and is recalled when it is submitted again; a direct one changes its own."""
    task = offload.task(function)
    expected = make()
    value = function(expected)
    for recalled in (False, True):
        submitted = task.submit(make())
        assert (submitted.result(), submitted.recalled) == (value, recalled)
    argument = make()
    with pytest.warns(NotRecordedWarning, match=r"changed its argument \w+"):
        assert task(argument) == value
    assert identify(argument) == identify(expected)
    assert task.submit(make()).recalled


def test_warnings_of_submitted_calls_point_to_the_line_that_submits(inline: None, tmp_path: Path) -> None:
    (tmp_path / "read").write_text("text")

    @offload.task
    def reads(path: str) -> str:
        with open(path) as file:
            return file.read() + str(time.time() > 0)

    with pytest.warns() as found:
        reads.submit(str(tmp_path / "read")).result()
    assert {one.category for one in found} == {EffectWarning, NotRecordedWarning}
    assert {linecache.getline(one.filename, one.lineno).split("(")[0].strip() for one in found} == {"reads.submit"}


def test_a_submitted_call_that_changes_nothing_stands_for_all(inline: None) -> None:
    task = offload.task(ignore=["RUNS"])(total)
    assert task.submit([1, 2]).result() == 3
    RUNS.clear()
    assert task([1, 2]) == 3
    assert RUNS == []


RUNS: list[int] = []


def total(numbers: list[int]) -> int:
    RUNS.append(1)
    return sum(numbers)
