"""Modules that come with functions: importable, put together, and never in the place of real ones."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from offload.transport import modules


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]
    modules._provided.clear()


def module(name: str, **members: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(members)
    return made


def test_a_module_within_a_package_can_be_imported() -> None:
    modules.provide({"far.away": module("far.away", x=1)})
    assert importlib.import_module("far.away").x == 1
    assert sys.modules["far"].away.x == 1


def test_what_several_functions_bring_is_put_together() -> None:
    first, like_it = [1, 2], [1, 2]
    modules.provide({"far": module("far", x=first, y=1)})
    modules.provide({"far": module("far", x=like_it, y=2, z=3)})
    far = importlib.import_module("far")
    assert far.x is first
    assert (far.y, far.z) == (2, 3)


def test_a_module_that_is_there_stays() -> None:
    modules.provide({"json": module("json", dumps=None)})
    assert json.dumps is not None
