"""What comes back from a record is what went in; else the result is returned, not recorded, and that is told."""

from __future__ import annotations

from typing import Any

import pytest

import offload
from offload.errors import NotRecordedWarning
from tests.compute.conftest import Log, Script

pytestmark = pytest.mark.usefixtures("home")


class RefusedError(Exception):
    def __reduce__(self) -> Any:
        return RefusedError, (), None, iter("cannot be appended")


class FailedError(Exception):
    """Cannot be made of what its `args` hold."""

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


class Rounded:
    """Comes back with another value, where it has one to lose."""

    def __init__(self, x: float) -> None:
        self.x = x

    def __reduce__(self) -> Any:
        return rounded, (self.x,)


def rounded(x: float) -> Rounded:
    return Rounded(float(round(x)))


class Altered:
    def __init__(self) -> None:
        self.x = 1

    def __setstate__(self, state: object) -> None:
        self.x = 2


class Equal(Altered):
    """Comes back with another cache, and is equal all the same."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal)

    __hash__ = None  # type: ignore[assignment]


MAKE: dict[str, Any] = {
    "refused": lambda: RefusedError("no"),
    "failed": lambda: FailedError("no", code=3),
    "failures": lambda: {"one": [FailedError("no", code=3)]},
    "rounded": lambda: [Rounded(1.5)],
    "altered": lambda: {"a": Altered()},
    "equal": Equal,
    "whole": lambda: Rounded(1.0),
}


def mark(path: str) -> None:
    with open(path, "ab") as file:
        file.write(b".")


@offload.task
def make(log: str, name: str) -> Any:
    mark(log)
    return MAKE[name]()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("refused", "cannot be rebuilt from what would be recorded"),
        ("rounded", "is another"),
        ("altered", "is another"),
    ],
)
def test_what_does_not_come_back_is_not_recorded(log: Log, name: str, words: str) -> None:
    for _ in range(2):
        with pytest.warns(NotRecordedWarning, match=words):
            result = make(log.path, name)
        assert type(result) is type(MAKE[name]())
    assert log.runs == 2


RING: list[Any] = [Rounded(1.0)]
RING[0].ring = RING


@offload.task
def ring(log: str) -> Any:
    mark(log)
    return RING


def test_a_global_that_leads_back_to_itself(log: Log) -> None:
    for _ in range(2):
        found = ring(log.path)
        assert found[0].x == 1
    assert log.runs == 1


class Node:
    def __init__(self) -> None:
        self.me = self


NODE = Node()


@offload.task
def node(log: str) -> Any:
    mark(log)
    return NODE


def test_an_object_that_leads_back_to_itself(log: Log) -> None:
    for _ in range(2):
        found = node(log.path)
        assert found.me is found
    assert log.runs == 1


@pytest.mark.parametrize("name", ["equal", "whole"])
def test_what_is_equal_comes_back(log: Log, name: str) -> None:
    for _ in range(2):
        make(log.path, name)
    assert log.runs == 1


@pytest.mark.parametrize("submitted", [False, True], ids=["called", "submitted"])
@pytest.mark.parametrize("name", ["failed", "failures"])
def test_exceptions_that_are_made_of_other_arguments(log: Log, name: str, submitted: bool) -> None:
    for _ in range(2):
        found = make.submit(log.path, name).result() if submitted else make(log.path, name)
        found = found["one"][0] if name == "failures" else found
        assert (type(found), found.args, found.code) == (FailedError, ("no",), 3)
    assert log.runs == 1


@offload.task
def code_of(log: str, error: FailedError) -> int:
    mark(log)
    return error.code


def test_such_an_exception_as_an_argument(log: Log) -> None:
    assert code_of.submit(log.path, FailedError("no", code=3)).result() == 3
    assert code_of(log.path, FailedError("no", code=3)) == 3
    assert code_of(log.path, FailedError("no", code=4)) == 4
    assert log.runs == 2


SENTINELS = """
import dataclasses, offload
from named import OTHER, Config, Mark
MISSING = object()
HERE = Mark("here")
ALL = {"a": MISSING, "b": OTHER, "c": Config.NOTHING, "d": HERE, "e": Config.MARK, "f": dataclasses.MISSING}
@offload.task
def find(name):
    table = {"a": MISSING, "b": OTHER, "c": Config.NOTHING, "d": HERE, "e": Config.MARK, "f": dataclasses.MISSING}
    return [table[name]]
@offload.task
def is_missing(x):
    return x is MISSING
"""


def test_sentinels(script: Script) -> None:
    script.write(
        "named.py",
        """
class Mark:
    def __init__(self, name): self.name = name
OTHER = object()
class Config:
    NOTHING = object()
    MARK = Mark("there")
""",
    )
    text = SENTINELS + "print([find(n)[0] is v for n, v in ALL.items()], is_missing(MISSING), is_missing(OTHER))"
    for _ in range(2):
        assert script.output(text) == f"{[True] * 6} True False\n"


@pytest.mark.real
def test_classes_and_sentinels_from_workers(script: Script) -> None:
    script.write(
        "named.py",
        """
import dataclasses, enum
OTHER = object()
class Mark:
    def __init__(self, name): self.name = name
class Config:
    NOTHING = object()
    MARK = Mark("there")
class Colour(enum.Enum):
    RED = 1
@dataclasses.dataclass(order=True, frozen=True)
class Point:
    x: int
""",
    )
    text = (
        SENTINELS
        + """
import sys, named
class Own(Exception):
    pass
@offload.task
def values(n):
    point = named.Point(n)
    shared = [point]
    return [point, named.Colour.RED, Own(n), shared, shared, MISSING]
if __name__ == "__main__":
    for row in offload.gather(values.map([int(a) for a in sys.argv[1:]])):
        point, red, own, one, other, missing = row
        print(isinstance(point, named.Point), point == named.Point(point.x), red is named.Colour.RED)
        print(isinstance(own, Own), isinstance(one[0], named.Point), one is other, missing is MISSING)
    for name, value in ALL.items():
        print(find.submit(name).result()[0] is value)
"""
    )
    for arguments in (["1"], ["1"], ["1", "2"]):
        told = script.output(text, *arguments)
        assert set(told.split()) == {"True"}, (arguments, told)
