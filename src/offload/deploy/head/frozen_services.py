"""Ending services of the head's that are frozen: stopped, or hanging. Others are started in their place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import psutil

from offload.deploy.head.children import Child

Ask = Callable[[], Awaitable[Any]]

GIVEN_UP_AFTER = 60.0
"""Seconds without an answer, and without any work done by its process, after which a service is replaced."""

LOOK_EVERY, ANSWER_SECONDS = 10.0, 8.0


async def end_frozen_services(services: Mapping[Child, Ask], say: Callable[[str], None]) -> None:
    """Watch services, and end those that are frozen, for as long as this runs.

    One that does not answer because it has much to do is left to it: it uses the processor.

    Parameters
    ----------
    services : mapping of Child to callable
        How each is asked for something.
    say : callable
        Gets lines for the head's log.
    """
    await asyncio.gather(*(_watch(child, ask, say) for child, ask in services.items()))


async def _watch(child: Child, ask: Ask, say: Callable[[str], None]) -> None:
    since: float | None = None
    used, looked = -1.0, time.monotonic()
    while True:
        await asyncio.sleep(LOOK_EVERY)
        pid = child.pid
        answers = child.state != "running" or await _answers(ask)
        now, before, used_before = time.monotonic(), looked, used
        looked, used = now, _used(pid)
        was_here = now - before < 3 * LOOK_EVERY  # else it was the head that was stopped
        if answers or used != used_before or not was_here or child.pid != pid:
            since = None
            continue
        since = since if since is not None else now
        if now - since >= GIVEN_UP_AFTER - LOOK_EVERY - ANSWER_SECONDS:  # it began before the first look
            say(f"the {child.name} is frozen: process {pid} is ended, and another one started")
            child.kill()
            since = None


async def _answers(ask: Ask) -> bool:
    try:
        await asyncio.wait_for(ask(), ANSWER_SECONDS)
    except (OSError, TimeoutError):
        return False
    return True


def _used(pid: int | None) -> float:
    """Return how many seconds of a processor a process has used."""
    try:
        times = psutil.Process(pid or -1).cpu_times()
    except (psutil.Error, ValueError):
        return -1.0
    return float(times.user + times.system)
