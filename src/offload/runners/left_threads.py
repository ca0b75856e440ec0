"""Threads that a call has left at work: what they do next would be done while other calls run."""

from __future__ import annotations

import sys
import threading
import time

from offload.effects.attribution import runs_projects_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

SECONDS = 2.0
"""How long a call's end waits for threads that Python, too, would wait for."""


class Threads:
    """Looks after them, one call after another.

    Only those that run code of the project count: pools that a library, or a module of the project, keeps for the next
    call are idle, and what libraries do beside is their own.
    """

    def __init__(self) -> None:
        self._before: set[int] = set()

    def begin(self) -> None:
        """Take note that a call begins."""
        self._before = set(_at_work())

    def left(self) -> list[str]:
        """Wait a little for those that the call has left, and return the names of those that go on."""
        until = time.monotonic() + SECONDS
        while found := [ident for ident in _at_work() if ident not in self._before]:
            threads = {ident: threading._active.get(ident) for ident in found}  # type: ignore[attr-defined]
            if any(one is None or one.daemon for one in threads.values()) or time.monotonic() > until:
                return [f"thread {ident}" if one is None else one.name for ident, one in threads.items()]
            time.sleep(0.002)
        return []


def _at_work() -> list[int]:
    """Return the threads, but for this one, that run code of the project."""
    frames: dict[int, FrameType] = sys._current_frames()
    if len(frames) <= 2:  # this one, and that which waits for the worker's end
        return []
    here = threading.get_ident()
    return [ident for ident, frame in frames.items() if ident != here and runs_projects_code(frame)]
