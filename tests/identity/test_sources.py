"""The text of functions and classes, as it is shown of large libraries."""

from __future__ import annotations

import argparse
import inspect
import json.decoder
import tarfile
from types import FunctionType, ModuleType

import pytest

from offload.identity.libraries.sources import shown_text


def subjects(module: ModuleType) -> list[object]:
    own = [one for one in vars(module).values() if getattr(one, "__module__", None) == module.__name__]
    classes = [one for one in own if isinstance(one, type)]
    methods = [one for cls in classes for one in vars(cls).values() if isinstance(one, FunctionType)]
    functions = [one for one in (*own, *methods) if isinstance(one, FunctionType) and "__wrapped__" not in vars(one)]
    return [one for one in (*classes, *functions) if one.__name__ != "<lambda>"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", [argparse, json.decoder, tarfile])
def test_it_is_what_inspect_finds(module: ModuleType) -> None:
    found = subjects(module)
    assert found
    for one in found:
        assert (shown_text(one) or "").strip() == inspect.getsource(one).strip(), one  # type: ignore[arg-type]


def test_what_has_no_text() -> None:
    names: dict[str, type] = {}
    exec("class A: pass\ndef f(): pass", {"__name__": "nowhere"}, names)
    assert shown_text(names["A"]) is None
    assert shown_text(names["f"]) is None
