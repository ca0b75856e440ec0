"""Classes and functions in recorded values that are others by now than when these were recorded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_state = threading.local()


@contextmanager
def noted() -> Iterator[list[str]]:
    """Collect the names of those that are met in values which are decoded in this thread meanwhile."""
    before = getattr(_state, "names", None)
    _state.names = []
    try:
        yield _state.names
    finally:
        _state.names = before


@contextmanager
def code_first() -> Iterator[None]:
    """Have what was recorded with its code decoded as that in this thread meanwhile, whatever has its name here."""
    before = goes_by_code()
    _state.by_code = True
    try:
        yield
    finally:
        _state.by_code = before


def goes_by_code() -> bool:
    """Tell whether recorded code goes before names."""
    return getattr(_state, "by_code", False)


def note(name: str) -> None:
    """Take note of one, where that is asked for."""
    if is_asked() and name not in _state.names:
        _state.names.append(name)


def is_asked() -> bool:
    """Tell whether anybody collects them."""
    return getattr(_state, "names", None) is not None
