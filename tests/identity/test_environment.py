"""What another environment lacks, and how it is told."""

from __future__ import annotations

import sys

import numpy
import pytest

from offload.identity.environment import Environment, environment, lacking
from offload.identity.functions import parts
from offload.identity.functions.graph import Graph
from offload.identity.libraries.distributions import interpreter

HERE = interpreter()


def test_only_what_is_installed_counts() -> None:
    assert environment({"numpy", "json", "tests"}) == Environment(HERE, (("numpy", f"numpy=={numpy.__version__}"),))
    assert lacking(environment({"numpy", "msgpack"})) == []


@pytest.mark.parametrize(
    ("module", "owner", "there"),
    [
        ("numpy", "numpy==0.1", numpy.__version__),
        ("numpy", "numpy-fork==1.0", f"numpy {numpy.__version__}"),
        ("no_such_module", "no-such==1.0", "not installed"),
        ("tests", "tests==1.0", "one that is no installed distribution"),
    ],
)
def test_differences_are_named(module: str, owner: str, there: str) -> None:
    (told,) = lacking(Environment(HERE, ((module, owner),)))
    assert told == f"{owner.replace('==', ' ')} here, {there} there"


def test_another_interpreter() -> None:
    (told,) = lacking(Environment("pypy-3.10", ()))
    assert told == f"Python pypy 3.10 here, {sys.version_info[0]}.{sys.version_info[1]} there"


FACTOR = 2


def helper(x: int) -> int:
    return FACTOR * x


def area(x: int) -> int:
    return helper(x)


def test_parts_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    before = parts.parts(Graph(area))
    assert list(before) == [f"function {__name__}:area", f"function {__name__}:helper"]
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 3)
    after = parts.parts(Graph(area))
    assert parts.different_parts(before, after) == [f"the function {__name__}:helper is another one there"]
    monkeypatch.setattr(sys.modules[__name__], "helper", len)
    assert f"the function {__name__}:helper is not found there" in parts.different_parts(
        before, parts.parts(Graph(area))
    )
