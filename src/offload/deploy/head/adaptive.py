"""How many workers there should be, by what there is to do: up at once, down after some calm."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

from offload.deploy.head.link import SchedulerLink, ServiceLink
from offload.deploy.workers.base import Workers

CALM = 5.0
"""Seconds for which fewer workers must have been enough before any goes."""

EVERY = 1.0  # seconds between two looks at the work
WORTH = 0.5  # so many seconds of work are worth a thread: what Dask takes a task for of which nothing is known


class Limits:
    """Says how many workers there should be.

    Parameters
    ----------
    minimum, maximum : int
        Of the workers.
    """

    def __init__(self, minimum: int, maximum: int) -> None:
        self.minimum = minimum
        self.maximum = maximum
        self._since: float | None = None
        self._enough = 0

    def target(self, current: int, wanted: int, now: float) -> int:
        """Return how many workers there should be now.

        Parameters
        ----------
        current : int
            How many there are.
        wanted : int
            How many the work asks for now.
        now : float
            A clock, in seconds.

        Examples
        --------
        >>> limits = Limits(0, 4)
        >>> [limits.target(1, 9, 0.0), limits.target(4, 0, 1.0), limits.target(4, 2, 5.0), limits.target(4, 0, 6.0)]
        [4, 4, 4, 2]
        """
        wanted = min(max(wanted, self.minimum), self.maximum)
        if wanted >= current:
            self._since = None
            return wanted
        if self._since is None:
            self._since, self._enough = now, wanted
        self._enough = max(self._enough, wanted)
        if now - self._since < CALM:
            return current
        self._since = None
        return self._enough


class Adaptive:
    """Changes the number of workers with the work, until it is ended.

    Parameters
    ----------
    workers : Workers
        Are changed.
    scheduler, jobs : SchedulerLink, ServiceLink
        Asked what there is to do.
    threads : int
        Of each worker.
    """

    def __init__(self, workers: Workers, scheduler: SchedulerLink, jobs: ServiceLink, threads: int) -> None:
        self._workers = workers
        self._scheduler = scheduler
        self._jobs = jobs
        self._threads = threads
        self._task: asyncio.Task[None] | None = None
        self.limits: Limits | None = None

    async def begin(self, minimum: int, maximum: int) -> None:
        """Keep to other limits from now on."""
        await self.end()
        self.limits = Limits(minimum, maximum)
        self._workers.grow(minimum)
        self._task = asyncio.create_task(self._follow(self.limits), name="adaptive")

    async def end(self) -> None:
        """Leave the number as it is."""
        task, self._task, self.limits = self._task, None, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self, limits: Limits) -> None:
        while True:
            try:
                current = len(self._workers)
                wanted, busy = await self._wanted()
                target = limits.target(current, wanted, time.monotonic())
                self._workers.grow(target)
                if target < current:
                    await self._workers.shrink(current - target, busy)
            except (OSError, TimeoutError):
                pass  # scheduler or job service are being started again; the next look is in a second
            await asyncio.sleep(EVERY)

    async def _wanted(self) -> tuple[int, set[str]]:
        """Return how many workers the work asks for, and those that are at work although Dask knows nothing of it.

        What Dask knows of counts, commands too; calls held back; and commands given by a job service that has died.
        """
        dask: int = await self._scheduler.call("adaptive_target", target_duration=f"{WORTH}s")
        load: dict[str, Any] = await self._jobs.get("/v1/status")
        calls: int = min(sum(load["calls"].values()), math.ceil(load["call_seconds"] / WORTH))
        busy = {name for name in load["adopted"] if name in self._workers}
        # Workers that others have started do their part.
        return max(dask - await self._workers.joined(), math.ceil(calls / self._threads)) + len(busy), busy
