"""Plain objects of the project are written by a shorter way, which gives the same bytes."""

from __future__ import annotations

import dataclasses
import enum
import fractions
from typing import Any

import pytest

from offload.identity.functions import constructors
from offload.identity.values.computed_attributes import _identify_unfilled as identify_the_long_way
from offload.identity.values.encode import Encoder, identify
from offload.identity.values.objects import _BY_NAME, _BY_TYPE, register


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 0


class Bare:
    pass


class Slots:
    __slots__ = ("x",)

    def __init__(self, x: object) -> None:
        self.x = x


class Told:
    def __reduce__(self) -> Any:
        return Told, ()


class Member(enum.Enum):
    ONE = 1


class Items(list[int]):
    pass


def with_items() -> Bare:
    found = Bare()
    found.__dict__.update({"a": [1, 2], "é": {"b": Point(1)}, "ratio": fractions.Fraction(1, 3), "more": None})
    return found


VALUES: dict[str, Any] = {
    "attributes": Point(1, 2.5),
    "none": Bare(),
    "many": [Point(number, Bare()) for number in range(30)],
    "within": Point(Point(Point(1)), (Point(2), {Member.ONE: Point})),
    "the same twice": [Point(1)] * 2,
    "items": with_items(),
    "others": [Slots(Point(1)), Told(), Member.ONE, Items([1]), Point(Items([1]))],
}


@pytest.mark.parametrize("name", list(VALUES))
def test_the_short_way_gives_the_same_as_the_long_one(name: str) -> None:
    assert identify(VALUES[name]) == identify_the_long_way(VALUES[name])


def test_it_is_gone_for_plain_objects_that_are_only_told_apart() -> None:
    encoder = Encoder(portable=False)
    encoder.write([Point(Bare()), Slots(1), Told(), Member.ONE, Items([1]), fractions.Fraction(1)])
    assert list(encoder.beginnings) == [Point, Bare]
    for other in (Encoder(), Encoder(portable=False, parts={}), Encoder(portable=False, refer=lambda value: "")):
        assert not constructors.has_beginning(other, Point)


def test_a_class_that_changes_is_another_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identify(Point(1))
    monkeypatch.setattr(Point, "scale", 2, raising=False)
    assert identify(Point(1)) == identify_the_long_way(Point(1)) != before
    monkeypatch.undo()
    assert identify(Point(1)) == before
    try:
        Point.__qualname__ = "Other"
        assert identify(Point(1)) == identify_the_long_way(Point(1)) != before
    finally:
        Point.__qualname__ = "Point"


def test_objects_that_know_each_other() -> None:
    one, other = Point(1), Point(1)
    one.x, other.x = other, one
    assert identify(one) == identify_the_long_way(one) == identify(other)


def test_a_class_that_is_registered_later() -> None:
    class Late:
        def __init__(self) -> None:
            self.x = 1

    before = identify(Late())
    register(Late, encode=lambda late: late.x, decode=lambda x: Late(), name="tests.Late")
    try:
        assert identify(Late()) == identify_the_long_way(Late()) != before
    finally:
        del _BY_TYPE[Late], _BY_NAME["tests.Late"]
