"""What can be a task: all that can be called, and how it is called."""

from __future__ import annotations

import asyncio
import functools
import math
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

import offload
from offload.api.task import Task
from offload.errors import UsageError
from offload.identity.values.encode import identify
from offload.registry import session
from tests.compute.conftest import Log
from tests.compute.test_calls import add, mark

pytestmark = pytest.mark.usefixtures("home")


class Square:
    def __init__(self, side: float) -> None:
        self.side = side

    @offload.task
    def area(self, log: str, times: int = 1) -> float:
        """The area."""
        mark(log)
        return self.side**2 * times

    @staticmethod
    @offload.task
    def corners(log: str) -> int:
        mark(log)
        return 4

    @classmethod
    @offload.task
    def unit(cls, log: str) -> Square:
        mark(log)
        return cls(1)


class Big(Square):
    pass


def test_methods(log: Log) -> None:
    assert [Square(2).area(log.path), Square(2).area(log.path), Square(2).area(log.path, times=2)] == [4, 4, 8]
    assert log.runs == 2
    assert Square(3).area(log.path) == 9
    assert Square.area(Square(3), log.path) == 9
    assert log.runs == 3


def test_the_class_of_the_instance_counts(log: Log) -> None:
    assert Square(2).area(log.path) == Big(2).area(log.path) == 4
    assert log.runs == 2


def test_static_and_class_methods(log: Log) -> None:
    square: Any = Square  # mypy does not know what `staticmethod` and `classmethod` make of a task
    assert [square.corners(log.path), square(1).corners(log.path)] == [4, 4]
    assert log.runs == 1
    big: Any = Big
    assert [type(one.unit(log.path)) for one in (square, square, big)] == [Square, Square, Big]
    assert log.runs == 3


def test_a_task_looks_like_its_function() -> None:
    task = Square.__dict__["area"]
    assert task.__name__ == "area"
    assert task.__doc__ == "The area."
    assert repr(task) == "<offload.task tests.compute.test_callables:Square.area>"


@offload.task
async def later(log: str, x: int) -> int:
    mark(log)
    await asyncio.sleep(0)
    return x + 1


@offload.task
async def twice_later(log: str, x: int) -> int:
    mark(log)
    first, second = await asyncio.gather(later(log, x), later(log, x + 1))
    return int(first + second)


def test_coroutine_functions(log: Log) -> None:
    async def main() -> list[int]:
        return [await later(log.path, 1), await later(log.path, 1)]

    assert asyncio.run(main()) == [2, 2]
    assert asyncio.run(later(log.path, 1)) == 2
    assert log.runs == 1
    assert asyncio.run(twice_later(log.path, 1)) == 5
    assert log.runs == 3
    assert asyncio.run(twice_later(log.path, 1)) == 5
    assert log.runs == 3


def numbers() -> Iterator[int]:
    yield 1


async def later_numbers() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_the_order_of_decorators(kind: Any) -> None:
    with pytest.raises(UsageError, match=rf"mark is a {kind.__name__} already") as caught:
        offload.task(environ=["HOME"])(kind(mark))
    assert caught.value.hint == f"write @{kind.__name__} above @offload.task"


@pytest.mark.parametrize("function", [numbers, later_numbers])
def test_generators_are_refused(function: Callable[[], Any]) -> None:
    with pytest.raises(UsageError, match="numbers is a generator") as caught:
        offload.task(function)
    assert caught.value.hint == "return a list instead of yielding"


@pytest.mark.parametrize("thing", [1, "f", None.__class__], ids=lambda one: type(one).__name__)
def test_what_cannot_be_called_is_refused(thing: Any) -> None:
    if callable(thing):
        assert offload.task(thing)() is None
        return
    with pytest.raises(UsageError, match="cannot be called"):
        offload.task(thing)


def plain(log: str, a: int, b: int) -> int:
    mark(log)
    return a - b


class Adder:
    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, log: str, x: int) -> int:
        mark(log)
        return x + self.by


def test_partial(log: Log) -> None:
    task = offload.task(functools.partial(plain, log.path, b=1))
    assert [task(5), task(5), offload.task(functools.partial(plain, log.path, b=2))(5)] == [4, 4, 3]
    assert log.runs == 2


def test_builtin_functions() -> None:
    assert [offload.task(math.sqrt)(16.0) for _ in range(2)] == [4.0, 4.0]
    assert offload.task(len)([1, 2]) == 2
    assert [run.label for run in session.current().database.runs()] == ["builtins:len", "math:sqrt"]


def test_instances(log: Log) -> None:
    assert [offload.task(Adder(2))(log.path, 1), offload.task(Adder(2))(log.path, 1)] == [3, 3]
    assert log.runs == 1
    assert offload.task(Adder(3))(log.path, 1) == 4


def test_classes() -> None:
    make = offload.task(Adder)
    assert [make(2).by, make(2).by, make(by=3).by] == [2, 2, 3]
    assert len(session.current().database.runs()) == 2


def loud(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs) + 100

    return wrapper


@offload.task
@loud
def decorated(log: str, x: int) -> int:
    mark(log)
    return x


def test_decorated_functions(log: Log) -> None:
    assert [decorated(log.path, 1), decorated(log.path, 1)] == [101, 101]
    assert log.runs == 1


def test_the_decorator_counts(log: Log) -> None:
    assert offload.task(loud(plain))(log.path, 3, 1) == 102
    assert offload.task(plain)(log.path, 3, 1) == 2


@offload.task
def fibonacci(log: str, n: int) -> int:
    mark(log)
    return n if n < 2 else int(fibonacci(log, n - 1) + fibonacci(log, n - 2))


def test_recursion_through_the_task(log: Log) -> None:
    assert fibonacci(log.path, 20) == 6765
    assert log.runs == 21
    assert fibonacci(log.path, 21) == 10946
    assert log.runs == 22


@offload.task
def outer(log: str, x: int) -> int:
    return int(add(log, x) + add(log, x) + add(log, x + 1))


def test_a_task_calls_another(log: Log) -> None:
    assert outer(log.path, 1) == 7
    assert add(log.path, 1) == 2
    assert log.runs == 2


def test_tasks_can_be_pickled(log: Log) -> None:
    for task in add, offload.task(plain):
        copy = pickle.loads(cloudpickle.dumps(task))
        assert isinstance(copy, Task)
        assert [copy(log.path, 2, 1), task(log.path, 2, 1)] == [task.function(log.path, 2, 1)] * 2
    assert log.runs == 4


def test_tasks_as_arguments(log: Log) -> None:
    apply = offload.task(lambda f, *args: f(*args))
    assert [apply(add, log.path, 1), apply(add, log.path, 1)] == [2, 2]
    assert log.runs == 1
    with pytest.raises(TypeError, match="'a'"):
        apply(add, log.path)


def test_options_before_the_function(log: Log) -> None:
    task = offload.task(scratch=True)(plain)
    assert [task(log.path, 2, 1), task(log.path, 2, 1)] == [1, 1]
    assert log.runs == 2


def test_a_task_is_pickled_by_its_name() -> None:
    copy = pickle.loads(pickle.dumps(named))
    assert copy is named
    local = offload.task(lambda x: x)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(local)


def test_a_task_within_a_value_counts_by_its_code(home: Path) -> None:
    def made(rate: int) -> Any:
        return offload.task(lambda x: x * rate)

    assert identify([made(1)]) == identify([made(1)])
    assert identify([made(1)]) != identify([made(2)])


@offload.task
def named(x: int) -> int:
    """Return one more."""
    return x + 1
