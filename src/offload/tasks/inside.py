"""Whether a thread runs a call of a batch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_state = threading.local()


def inside() -> bool:
    """Tell whether this thread is running a call for a batch."""
    return getattr(_state, "busy", False)


@contextmanager
def running() -> Iterator[None]:
    """Count this thread as one that runs a call while the block runs."""
    before, _state.busy = inside(), True
    try:
        yield
    finally:
        _state.busy = before
