"""Each kind of value is the same in another process with another hash seed, and comes back as it was."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from offload.identity.values.encode import identify
from offload.tasks.results import from_buffer, to_buffer
from tests.identity import kinds

pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass")

ALL = kinds.makes()

CHILD = """
import json, sys
from offload.tasks.results import from_buffer, to_buffer
from offload.identity.values.encode import identify
from tests.identity import kinds
found = {}
for text in kinds.makes():
    value = kinds.made(text)
    chunks, difference = to_buffer(value)
    found[text] = [identify(value), b"".join(chunks).hex(), difference]
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def elsewhere() -> dict[str, tuple[str, str, str | None]]:
    """What another process makes of each: checksum, buffer, and what differs when it is rebuilt."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", CHILD], env=environment, cwd=root, stdout=subprocess.PIPE, check=True, timeout=200
    )
    found: dict[str, tuple[str, str, str | None]] = json.loads(done.stdout)
    return found


def seen(value: Any, depth: int = 6) -> Any:
    """Return what can be seen of a value, in a form that compares by all of it."""
    cls = type(value)
    if depth == 0 or value is None or cls in (bool, int, str, bytes):
        return cls.__name__, repr(value)
    again = [seen(one, depth - 1) for one in _inside(value)]
    flags: tuple[object, ...] = ()
    if isinstance(value, np.ndarray):  # strides with gaps do not count
        fortran = value.flags.f_contiguous and not value.flags.c_contiguous
        flags = fortran, value.flags.writeable, value.dtype.str
    text = repr(value) if " at 0x" not in repr(value) else ""
    if isinstance(value, (set, frozenset)):
        text, again = "", sorted(again)
    return cls.__module__, cls.__qualname__, text, flags, again


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.items(), *sorted(vars(value).items())] if hasattr(value, "__dict__") else [*value.items()]
    found = [*value] if isinstance(value, (list, tuple, set, frozenset)) else []
    if type(value).__module__ == kinds.__name__ or isinstance(value, BaseException):
        found += [*sorted(getattr(value, "__dict__", {}).items())]
        slots = [n for base in type(value).__mro__ for n in getattr(base, "__slots__", ()) if n[:1] != "_"]
        found += [(name, getattr(value, name)) for name in slots if hasattr(value, name)]
    if isinstance(value, BaseException):
        found += [value.args, value.__cause__]
    return [one for one in found if type(one) is not object and "_cache" not in str(one)[:10]]


def test_the_table_is_long() -> None:
    assert len(ALL) > 200


@pytest.mark.parametrize("text", ALL)
def test_a_kind(text: str, elsewhere: dict[str, tuple[str, str, str | None]]) -> None:
    value = kinds.made(text)
    checksum, buffer, difference = elsewhere[text]
    assert identify(value) == identify(kinds.made(text)) == checksum
    assert difference is None
    chunks, here = to_buffer(value)
    assert here is None
    rebuilt = [from_buffer(data, "") for data in (b"".join(chunks), bytes.fromhex(buffer))]
    assert [identify(back) for back in rebuilt] == [checksum, checksum]  # before sympy keeps what it is asked
    for back in rebuilt:
        assert type(back) is type(value)
        assert seen(back) == seen(value)


def test_what_a_compiled_class_keeps_for_itself_does_not_count() -> None:
    step = pd.Timedelta("1s")
    before = identify(step)
    assert repr(step)
    assert vars(step)
    assert identify(step) == before


def test_all_are_different() -> None:
    known: dict[str, str] = {}
    for text in ALL:
        checksum = identify(kinds.made(text))
        other = known.setdefault(checksum, text)
        assert other == text or _are_alike(other, text), (other, text)


def _are_alike(one: str, other: str) -> bool:
    """Tell whether two expressions make the same, but for how it lies in memory."""
    first, second = kinds.made(one), kinds.made(other)
    if isinstance(first, np.ndarray):
        return bool(np.array_equal(first, second))
    return type(first) is type(second) and pickle.dumps(first) == pickle.dumps(second)
