"""When a deployment has nothing to do any more, and nobody asks for anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from offload.deploy.head.clients import SchedulerLink, ServiceLink

EVERY = 1.0

Look = Callable[[], Awaitable[float]]


class Idle:
    """Watches a deployment, and calls when it has been idle for long enough.

    Parameters
    ----------
    seconds : float
        How long that is.
    looks : list of callables
        Each gives for how many seconds a part of it has been idle; 0 while it is not.
    """

    def __init__(self, seconds: float, looks: list[Look]) -> None:
        self._seconds = seconds
        self._looks = looks

    async def wait(self) -> None:
        """Wait until all parts have been idle for so long."""
        busy = time.monotonic()
        while True:
            await asyncio.sleep(min(EVERY, self._seconds / 4))
            for look in self._looks:
                try:
                    busy = max(busy, time.monotonic() - await look())
                except (OSError, TimeoutError):
                    busy = time.monotonic()  # it is being started again
            if time.monotonic() - busy >= self._seconds:
                return


def of_service(link: ServiceLink, path: str) -> Look:
    """Return the look at a service that tells ``idle_seconds`` itself."""

    async def look() -> float:
        return float((await link.get(path))["idle_seconds"])

    return look


def of_scheduler(link: SchedulerLink) -> Look:
    """Return the look at the scheduler: tasks of whatever client count, clients that only hold results do not."""

    async def look() -> float:
        since = await link.call("check_idle")
        return 0.0 if since is None else max(0.0, time.time() - since)

    return look
