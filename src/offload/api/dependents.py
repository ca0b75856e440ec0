"""Calls whose arguments are results of others: they begin when these are there."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from offload.notices import counted, messages
from offload.tasks.futures import Future

NOTE_AFTER = 2.0

_dependents = 0  # calls that wait for the results of others, and are no dispatcher's yet
_begun = threading.Condition()


def may_hold_futures(kind: type) -> bool:
    """Tell whether values of a type may be futures, or hold some."""
    return kind in (list, tuple, dict) or issubclass(kind, Future)


def futures_in(value: Any) -> list[Future[Any]]:
    """Return the futures among arguments, also inside plain containers."""
    if isinstance(value, Future):
        return [value]
    if type(value) in (list, tuple):
        # A long list of numbers holds no futures; asking for its types first keeps that cheap.
        if any(map(may_hold_futures, set(map(type, value)))):
            return [f for item in value for f in futures_in(item)]
    elif type(value) is dict:
        return [f for item in value.values() for f in futures_in(item)]
    return []


def resolved(value: Any, elsewhere: bool = False) -> Any:
    """Return the value with each future replaced by its result; `elsewhere`, that need not be one of this process."""
    if isinstance(value, Future):
        return value.undecoded if elsewhere and value.undecoded is not None else value.result()
    if type(value) in (list, tuple) and futures_in(value):
        return type(value)(resolved(item, elsewhere) for item in value)
    if type(value) is dict and futures_in(value):
        return {key: resolved(item, elsewhere) for key, item in value.items()}
    return value


def when_done(waiting: list[Future[Any]], go_on: Callable[[], None]) -> None:
    """Do something when futures are done; until then, the end of the program waits for it."""
    global _dependents
    remaining = len(waiting)
    lock = threading.Lock()
    with _begun:
        _dependents += 1

    def one_done(_: Any) -> None:
        global _dependents
        nonlocal remaining
        with lock:
            remaining -= 1
            last = remaining == 0
        if last:
            try:
                go_on()
            finally:
                with _begun:
                    _dependents -= 1
                    _begun.notify_all()

    for future in waiting:
        future.add_done_callback(one_done)


def all_begun() -> bool:
    """Wait for the calls that wait for others to be begun; False when Ctrl-C ended that."""
    try:
        with _begun:
            if not _begun.wait_for(lambda: not _dependents, NOTE_AFTER):
                waiting = counted(_dependents, "call that waits", "calls that wait")
                messages().write(f"offload: waiting for {waiting} for others (Ctrl-C ends them)\n")
                _begun.wait_for(lambda: not _dependents)
    except KeyboardInterrupt:
        return False
    return True


def ended_by_interrupt() -> bool:
    """Tell whether a Ctrl-C has ended the program."""
    # Set where a traceback was printed; at a prompt, it may be that of a statement long ago.
    return getattr(sys, "last_type", None) is KeyboardInterrupt and not hasattr(sys, "ps1")


def _leave() -> None:
    """In a child of this process: nothing waits there."""
    global _dependents, _begun
    _dependents, _begun = 0, threading.Condition()


os.register_at_fork(after_in_child=_leave)
