"""Classes and functions that do not stand under their own names, and those that came with their code."""

from __future__ import annotations

import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import make_dataclass
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from offload.identity.functions.holders import give_qualname, holder, loads
from offload.tasks.results import from_buffer, to_buffer

Pair = namedtuple("Couple", "left right")  # type: ignore[name-match]  # noqa: PYI024
Made = make_dataclass("Made", ["x"])
CODE = """
import collections, enum
class Base:
    def who(self): return "base"
class Node(Base):
    def __init__(self): self.me = self
class Colour(enum.Enum):
    RED = 1
Pt = collections.namedtuple("Point", "x y")
def own():
    class Node(Base):
        def who(self): return "own"
    return Node
"""


@pytest.fixture
def lib() -> Iterator[Any]:
    made = ModuleType("lib_of_holders")
    sys.modules[made.__name__] = made
    exec(CODE, vars(made))
    yield made
    del sys.modules[made.__name__]


def by_value(lib: Any, value: object) -> bytes:
    """Return a value as it was pickled when all code travelled by value."""
    cloudpickle.register_pickle_by_value(lib)
    try:
        return bytes(cloudpickle.dumps(value))
    finally:
        cloudpickle.unregister_pickle_by_value(lib)


def imported_anew(lib: Any) -> None:
    """Have all of a module's classes be others, as in another process."""
    known = cloudpickle.cloudpickle
    known._DYNAMIC_CLASS_TRACKER_BY_CLASS.clear()
    known._DYNAMIC_CLASS_TRACKER_BY_ID.clear()
    exec(CODE, vars(lib))


def test_where_a_class_stands() -> None:
    assert holder(Pair) == (__name__, "Pair")
    assert holder(Made) == (__name__, "Made")
    assert holder(type("Nowhere", (), {})) is None
    assert holder(ModuleType) is None
    for value in (Pair(1, 2), Made(3), [Pair, Made]):
        rebuilt = from_buffer(b"".join(to_buffer(value)[0]), "")
        assert rebuilt == value
        assert type(rebuilt) is type(value)


def test_classes_that_came_with_their_code_are_those_that_are_here(lib: Any) -> None:
    data = by_value(lib, [lib.Node(), lib.Colour.RED, lib.Pt(1, 2), lib.own()()])
    imported_anew(lib)
    node, colour, _, own = loads(data)
    assert type(node) is lib.Node
    assert node.me is node
    assert colour is lib.Colour.RED
    assert isinstance(own, lib.Base)


def test_another_class_of_the_same_name_does_not_take_its_place(lib: Any) -> None:
    data = by_value(lib, lib.own()())
    imported_anew(lib)
    (own,) = [loads(data)]
    assert type(own) is not lib.Node
    assert own.who() == "own"
    assert isinstance(own, lib.Base)


def test_results_that_hold_such_classes_with_their_code(lib: Any) -> None:
    from offload.identity.values import objects

    data = by_value(lib, lib.Pt)
    digest = from_checksum(lib.Pt)
    imported_anew(lib)
    assert objects.located("lib_of_holders:Point", digest, data) is lib.Pt


ELSEWHERE = """
import subprocess
import sys
from offload.tasks.results import to_buffer
def make():
    class Inner:
        pass
    return Inner
sys.stdout.buffer.write(b"".join(to_buffer(make())[0]))
"""


def test_a_class_of_a_function_is_called_what_it_was() -> None:
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], stdout=subprocess.PIPE, check=True, timeout=60)
    assert from_buffer(done.stdout, "").__qualname__ == "make.<locals>.Inner"


def test_classes_that_are_here_keep_their_names() -> None:
    give_qualname(type(None), "Nothing")
    assert type(None).__qualname__ == "NoneType"

    class Inner:
        pass

    before = Inner.__qualname__
    give_qualname(Inner, "other.Inner")
    assert Inner.__qualname__ == before


def from_checksum(cls: type) -> str:
    from offload.identity.functions.identify import closure

    return closure(cls).checksum
