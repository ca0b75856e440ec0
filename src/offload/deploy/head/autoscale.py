"""How many workers there should be, by what there is to do: up at once, down after some calm."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from offload.deploy.head.clients import SchedulerLink, ServiceLink
from offload.deploy.head.demand import Supplier, wanted_workers
from offload.deploy.workers.groups import Group, Groups

CALM = 5.0
"""Seconds for which fewer workers must have been enough before any goes."""

EVERY = 1.0  # seconds between two looks at the work


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
    """Changes the numbers of workers with the work, group by group.

    Parameters
    ----------
    groups : Groups
        Are changed.
    scheduler, jobs : SchedulerLink, ServiceLink
        Asked what there is to do.

    Attributes
    ----------
    limits : dict of str to Limits
        Of each group whose number of workers follows the work.
    """

    def __init__(self, groups: Groups, scheduler: SchedulerLink, jobs: ServiceLink) -> None:
        self._groups = groups
        self._scheduler = scheduler
        self._jobs = jobs
        self._task: asyncio.Task[None] | None = None
        self.limits: dict[str, Limits] = {}

    def begin(self, group: str, minimum: int, maximum: int) -> None:
        """Keep a group to other limits from now on."""
        self.limits[group] = Limits(minimum, maximum)
        self._groups[group].workers.grow(minimum)
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name="adaptive")

    def end(self, group: str) -> None:
        """Leave the number of a group as it is."""
        self.limits.pop(group, None)

    async def close(self) -> None:
        """Leave all as they are."""
        task, self._task = self._task, None
        self.limits.clear()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            if self.limits:
                try:
                    await self._change()
                except (OSError, TimeoutError):
                    pass  # scheduler or job service are being started again; the next look is in a second
            await asyncio.sleep(EVERY)

    async def _change(self) -> None:
        demand: dict[str, Any] = await self._scheduler.call("demand")
        load: dict[str, Any] = await self._jobs.get("/v1/status")
        suppliers = [self._supplier(group) for group in self._groups]
        wanted = wanted_workers(suppliers, demand, load["demand"])
        for group in self._groups:
            limits = self.limits.get(group.name)
            if limits is None:
                continue
            # At work, although Dask knows nothing of it: with commands of a job service that has died.
            busy = {name for name in load["adopted"] if name in group.workers}
            current = len(group.workers)
            target = limits.target(current, wanted[group.name] + len(busy), time.monotonic())
            group.workers.grow(target)
            if target < current:
                await group.workers.shrink(current - target, busy)

    def _supplier(self, group: Group) -> Supplier:
        limits = self.limits.get(group.name)
        most = len(group.workers) if limits is None else limits.maximum
        return Supplier(group.name, group.spec.threads, dict(group.resources), most, len(group.workers))
