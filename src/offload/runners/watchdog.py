"""Looks whether runners are alive, and keep within the limits of their calls and their worker."""

from __future__ import annotations

import contextlib
import os
import time

from offload.transport.limits import too_long, too_much
from offload.util import process_usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.errors import OffloadError
    from offload.runners.link import Link

TOLD_AFTER, FROZEN_SECONDS = 15.0, 60.0
"""Seconds for which a runner has been stopped: until that is a problem, and until it is replaced."""


class Watching:
    """Looks after runners.

    Parameters
    ----------
    limit : int, optional
        How many bytes their worker may use, with all of them.
    hurts : float
        The part of it at which one is ended.
    """

    def __init__(self, limit: int | None, hurts: float) -> None:
        self._limit = limit
        self._most = 0 if limit is None else hurts * limit

    def look(self, links: Sequence[Link]) -> None:
        """Look once."""
        for link in links:
            if link.has_ended():
                with contextlib.suppress(OSError):
                    link.part()
            else:
                _look_whether_stopped(link)
                self._look_at(link)
        if self._most:
            self._look_at_all(links)

    def _look_at(self, link: Link) -> None:
        now = time.monotonic()
        batch, began = link.batch, link.began
        if batch is None:
            return
        if link.runs_unwanted:
            link.given_up = True
            link.kill()
        if not began:
            return
        timeout, memory = batch.limits
        if timeout is not None and now - began > timeout:
            _break(link, began, too_long(timeout))
        elif memory is not None and (used := process_usage.memory(link.root, memory)) > memory:
            _break(link, began, too_much(used, memory, "its", 'give it more: @offload.task(memory="2GB")'))

    def _look_at_all(self, links: Sequence[Link]) -> None:
        """Where worker and runners use too much together, end the one that uses most."""
        assert self._limit is not None
        used = {link: process_usage.memory(link.root, self._most) for link in links}
        whole = sum(used.values()) + process_usage.memory_of_one(os.getpid())
        if whole <= self._most:
            return
        link = max(used, key=lambda link: (not link.began, used[link]))
        began = link.began
        if not began:
            link.kill()  # nothing is lost with it, or what it loads is tried again
        else:
            hint = "give workers more: offload up --memory-limit"
            _break(link, began, too_much(whole, self._limit, "the worker's", hint))


def _look_whether_stopped(link: Link) -> None:
    now = time.monotonic()
    if not process_usage.is_stopped(link.pid):
        link.stopped = None
        return
    link.stopped = link.stopped or now
    if now - link.stopped > FROZEN_SECONDS:
        link.given_up = True
        link.kill()


def _break(link: Link, began: float, error: OffloadError) -> None:
    if link.broken is None:
        link.broken = began, error
        link.kill()
