"""A recorded value of a class that was edited since comes back as one of the class that is there, and that is noted."""

from __future__ import annotations

import sys
import types

import pytest

from offload.identity.values import replaced_classes
from offload.identity.values.decode import decode
from offload.identity.values.encode import encode

TEXT = "class Point:\n    def __init__(self, x): self.x = x\n    def shown(self): return {}\n"


def defined(module: types.ModuleType, shown: str) -> type:
    exec(TEXT.format(shown), vars(module))
    found: type = module.Point
    return found


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    made = types.ModuleType("kinds_of_points")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


@pytest.mark.parametrize("by_value", [False, True])
def test_an_edited_class(module: types.ModuleType, by_value: bool) -> None:
    before = defined(module, "1")
    value = before(3)
    if by_value:  # as from a worker that made the class from its parts
        vars(module).pop("Point")
    data = encode(value)
    vars(module)["Point"] = before
    with replaced_classes.noted() as names:
        assert type(decode(data)) is before
    assert names == []
    after = defined(module, "2")
    with replaced_classes.noted() as names:
        assert type(decode(data)) is after
    assert names == ["kinds_of_points:Point"]
    assert type(decode(data)) is after
    vars(module).pop("Point")
    if by_value:
        found = decode(data)
        assert (found.x, found.shown()) == (3, 1)
