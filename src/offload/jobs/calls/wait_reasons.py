"""Telling who waits for calls why nothing happens, where the deployment knows a reason."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

from offload.tasks.futures import Future

TELL_AFTER, LONGEST_PAUSE = 2.0, 15.0
"""Seconds without any news after which it is asked why, and at most between two questions."""

POLL = 0.5
NUMBER = re.compile(r"\d+")


def is_awaited(future: Future[Any]) -> bool:
    """Tell whether anybody waits for a future just now, in whatever way."""
    in_result = getattr(future._condition, "_waiters", ())
    called_back = getattr(future, "_done_callbacks", ())  # as by `await`
    return bool(in_result or called_back or future._waiters)  # the last by `wait` and `as_completed`


class Watch:
    """Asks why calls wait, while nothing is heard of any of them, and tells a reason that is new.

    Parameters
    ----------
    why : callable
        Gives what so many calls wait for; "" where they run.
    say : callable
        Tells the user.
    """

    def __init__(self, why: Callable[[int], str], say: Callable[[str], None]) -> None:
        self._why = why
        self._say = say
        self._ended = threading.Event()
        self._moved = time.monotonic()

    def moved(self) -> None:
        """Take note that there is news: calls were begun, or have ended."""
        self._moved = time.monotonic()

    def end(self) -> None:
        """Have `run` return."""
        self._ended.set()

    def run(self, waiting: Callable[[], int]) -> None:
        """Watch until `end`.

        Parameters
        ----------
        waiting : callable
            Waits until calls are under way; gives how many, or 0 while nobody waits for any of them.
        """
        told, pause, asked = "", TELL_AFTER, 0.0
        while not self._ended.wait(POLL):
            if time.monotonic() - self._moved < TELL_AFTER:
                told, pause, asked = "", TELL_AFTER, 0.0
                continue
            number = waiting()
            if not number or time.monotonic() - asked < pause or time.monotonic() - self._moved < TELL_AFTER:
                continue
            reason = self._why(number)
            if self._ended.is_set():
                return
            asked, pause = time.monotonic(), min(2 * pause, LONGEST_PAUSE)
            words = NUMBER.sub("", reason)  # one more restart, or another port, is nothing new
            if reason and words != told:
                self._say(reason)
            told = words
