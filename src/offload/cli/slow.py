"""Tells the user what a command waits for, when it takes long."""

from __future__ import annotations

import contextlib
import threading

from offload.cli.output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TELL_AFTER = 2.0


@contextlib.contextmanager
def told_when_slow(what: Callable[[], str]) -> Iterator[None]:
    """Say on stderr what is waited for, where a block takes more than `TELL_AFTER` seconds."""
    timer = threading.Timer(TELL_AFTER, lambda: say(what()))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
