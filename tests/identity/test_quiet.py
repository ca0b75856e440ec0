"""Identifying runs none of the user's code: no properties, no ``__getattr__``, nothing that an object says it is."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import offload
from offload.effects.static import reached
from offload.identity.functions.graph import Graph
from offload.identity.inspection import attribute, is_a, module_of
from offload.identity.values.encode import identify
from offload.records.summary import summary

ASKED: list[str] = []


class Lazy:
    """It gets what it is asked for when it is asked."""

    kind = "lazy"

    def __getattr__(self, name: str) -> Any:
        ASKED.append(name)
        raise AttributeError(name)


class LazyCall(Lazy):
    def __call__(self) -> int:
        return 1


class Eager:
    """Whatever it is asked for, it loads all."""

    def __init__(self) -> None:
        self.unit = "m"

    def __getattribute__(self, name: str) -> Any:
        ASKED.append(name)
        return object.__getattribute__(self, name)


def _property(name: str) -> Any:
    def ask(self: Any) -> Any:
        ASKED.append(name)
        return {"__class__": dict, "__module__": "json"}.get(name, 1)

    return property(ask)


_ALIASES = ("__class__", "__module__", "__wrapped__", "__code__", "__self__", "shape", "dtype", "item", "unit", "name")
# Properties under names that are asked for elsewhere.
Loads: Any = type("Loads", (), {name: _property(name) for name in _ALIASES})


class Meta(type):
    def __getattr__(cls, name: str) -> Any:
        ASKED.append(name)
        raise AttributeError(name)


class Made(metaclass=Meta):
    x = 1


LAZY, CALLED, EAGER, LOADS = Lazy(), LazyCall(), Eager(), Loads()


def of_lazy(x: int) -> Any:
    return LAZY.unit.first.second if x else 0


def of_called(x: int) -> Any:
    return CALLED() if x else 0


def of_eager(x: int) -> Any:
    return EAGER.unit if x else 0


def of_loads(x: int) -> Any:
    return LOADS.unit if x else 0


def of_made(x: int) -> Any:
    return Made.unit if x else Made.x


def of_several(x: int) -> Any:
    several: list[Any] = [LAZY, {"a": LOADS}, EAGER, CALLED]
    return several[x]


@pytest.fixture(autouse=True)
def nothing_asked() -> Iterator[None]:
    ASKED.clear()
    yield
    assert ASKED == []


FUNCTIONS: list[Callable[[int], Any]] = [of_lazy, of_called, of_eager, of_loads, of_made, of_several]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_a_function(function: Callable[[int], Any]) -> None:
    graph = Graph(function)
    assert graph.is_current()
    reached(graph)
    offload.identity(function)


VALUES = {"lazy": Lazy, "called": LazyCall, "eager": Eager, "loads": Loads, "class": lambda: Made}


@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_an_argument(make: Callable[[], Any]) -> None:
    assert identify(make()) == identify(make())
    assert identify([make(), {1: make()}]) != identify([make()])
    summary(make())
    offload.task(takes).identify((make(),), {})


def takes(value: Any) -> None:
    return None


@pytest.mark.usefixtures("home")
def test_a_call_that_is_recorded() -> None:
    task = offload.task(of_lazy)
    assert [task(0), task(0)] == [0, 0]


def test_what_an_object_says_does_not_count() -> None:
    assert identify(Loads()) != identify({})
    assert not is_a(LOADS, dict)
    assert module_of(Loads) == module_of(Lazy) == __name__
    assert is_a(types, types.ModuleType)


def test_attributes_as_they_are() -> None:
    assert attribute(EAGER, "unit") == "m"
    assert attribute(LAZY, "kind") == "lazy"
    assert [attribute(LOADS, name) for name in ("unit", "shape", "missing")] == [None, None, None]
    ASKED.clear()


def test_code_of_a_class_whose_module_is_a_property_counts() -> None:
    first = identify(Loads())
    Loads.more = lambda self: 2
    try:
        assert identify(Loads()) != first
    finally:
        del Loads.more
    ASKED.clear()
