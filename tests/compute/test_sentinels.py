"""Objects that are nothing but themselves, as arguments: on a worker they are what the function compares with."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import offload
from offload.identity.values.encode import identify
from tests.compute.conftest import Script

pytestmark = pytest.mark.usefixtures("home")

SCRIPT = """
import dataclasses, offload
import marks

MISSING = object()

class Kinds:
    NOTHING = object()
    OTHER = object()

class Mark:
    pass

HERE = Mark()

@offload.task
def which(x, default=MISSING):
    kinds = [x is Kinds.NOTHING, x is Kinds.OTHER, x is HERE, x is marks.THERE, x is dataclasses.MISSING]
    return [x is MISSING, default is MISSING, *kinds]

@offload.task
def same(x):
    return x

ALL = [MISSING, Kinds.NOTHING, Kinds.OTHER, HERE, marks.THERE, dataclasses.MISSING, 1]
for values in (which.map(ALL), same.map([[one] for one in ALL])):
    for value, one in zip(offload.gather(values), ALL):
        print(*(map(int, value) if len(value) > 1 else [int(value[0] is one)]))
print(int(which.submit(1, MISSING).result()[1]), *(int(same([one])[0] is one) for one in ALL))
"""
MARKS = "class Mark: pass\nTHERE = Mark()\n"
PLAIN = """1 1 0 0 0 0 0
0 1 1 0 0 0 0
0 1 0 1 0 0 0
0 1 0 0 1 0 0
0 1 0 0 0 1 0
0 1 0 0 0 0 1
0 1 0 0 0 0 0
"""


def test_on_workers_and_recalled(script: Script) -> None:
    script.write("marks.py", MARKS)
    for _ in range(2):
        assert script.output(SCRIPT) == PLAIN + "1\n" * 7 + "1 1 1 1 1 1 1 1\n"


class Kinds:
    NOTHING = object()
    OTHER = object()


@offload.task
def is_nothing(x: Any) -> bool:
    return x is Kinds.NOTHING


def test_members_of_a_class_are_different_arguments() -> None:
    assert identify(Kinds.NOTHING) != identify(Kinds.OTHER)
    assert identify(object()) == identify(object())
    assert [is_nothing(x) for x in (Kinds.NOTHING, Kinds.OTHER, object())] == [True, False, False]


@offload.task
def is_missing(x: Any) -> bool:
    return x is dataclasses.MISSING


def test_in_this_process() -> None:
    with offload.Deployment(in_process=True):
        assert is_missing.submit(dataclasses.MISSING).result() is True
        assert is_nothing.submit(Kinds.NOTHING).result() is True
