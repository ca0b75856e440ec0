"""The head's workers: how many there are, and how some of them go."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from offload.compute.places import Place
from offload.deploy.head.children import Child
from offload.deploy.head.link import SchedulerLink
from offload.deploy.processes import python

BUSY_POLL = 0.2


class Workers:
    """Workers on this machine, each a child.

    Parameters
    ----------
    place : Place
        The deployment.
    link : SchedulerLink
        Asked what workers do, and told which of them go.

    Attributes
    ----------
    reached : bool
        Whether the scheduler gave an answer when it was last asked for its workers.
    """

    def __init__(self, place: Place, link: SchedulerLink) -> None:
        self._place = place
        self._link = link
        self._children: dict[str, Child] = {}
        self._leaving: dict[str, Child] = {}
        self._departures: set[asyncio.Task[None]] = set()
        self._next = 0
        self._changing = asyncio.Lock()
        self.reached = False

    def __len__(self) -> int:
        return len(self._children)

    def __contains__(self, name: str) -> bool:
        return name in self._children

    async def scale(self, count: int) -> None:
        """Have so many workers; those that go hand over what they hold, idle ones first."""
        async with self._changing:
            self.grow(count)
            surplus = len(self) - count
            if surplus <= 0:
                return
            idle: list[str] = await self._link.call("workers_to_close", n=surplus, attribute="name")
            named = [name for name in idle if name in self._children]
            others = [name for name in self._children if name not in named]
            leaving = (named + others[::-1])[:surplus]
            await self._link.call("retire_workers", names=leaving, close_workers=False)
            await self._end(leaving)

    def grow(self, count: int, after: float = 0.0) -> None:
        """Have at least so many workers; new ones start after some seconds."""
        while len(self) < count:
            name = f"worker-{self._next}"
            self._next += 1
            command = python("offload.deploy.worker", self._place.path, name)
            child = Child(name, lambda command=command: command, self._place.log(name))  # type: ignore[misc]
            self._children[name] = child
            child.start(after)

    async def shrink(self, surplus: int, busy: Collection[str] = ()) -> None:
        """Let so many idle workers go; fewer where fewer are idle, or where what they hold has no other place.

        Those that are `busy` stay, idle as they may look to the scheduler.

        They take nothing on from now, and one that has got something to do in the last moment finishes it.
        """
        async with self._changing:
            idle: list[str] = await self._link.call("workers_to_close", attribute="name")
            names = [name for name in idle if name in self._children and name not in busy][:surplus]
            if not names:
                return
            retired = await self._link.call("retire_workers", names=names, close_workers=False, remove=False)
            for address, worker in retired.items():
                name = str(worker["name"])
                self._leaving[name] = self._children.pop(name)
                departure = asyncio.create_task(self._depart(name, address))
                self._departures.add(departure)
                departure.add_done_callback(self._departures.discard)

    async def _depart(self, name: str, address: str) -> None:
        try:
            while any((await self._link.call("processing", workers=[address])).values()):
                await asyncio.sleep(BUSY_POLL)
        except (OSError, TimeoutError):
            pass  # the scheduler is gone, and with it what this worker had to do
        await self._leaving[name].end()
        del self._leaving[name]

    async def joined(self) -> int:
        """Return how many workers there are that somebody else has started."""
        return sum(name not in self._children and name not in self._leaving for name in await self._connected())

    async def end(self) -> None:
        """End all of them at once."""
        for departure in self._departures:
            departure.cancel()
        self._children.update(self._leaving)
        await self._end(list(self._children))

    async def _end(self, names: list[str]) -> None:
        await asyncio.gather(*(self._children.pop(name).end() for name in names))

    async def status(self) -> list[dict[str, Any]]:
        """Return what each worker is and does, as plain values; also of those that somebody else has started."""
        try:
            known = await self._connected()
            self.reached = True
        except (TimeoutError, OSError):
            known = {}  # the scheduler is being started again
            self.reached = False
        own = [{**child.described(), **known.pop(child.name, {})} for child in self._children.values()]
        for child in self._leaving.values():
            own.append({**child.described(), **known.pop(child.name, {}), "state": "leaving"})
        return own + [{"pid": None, "restarts": 0, "joined": True, **worker} for worker in known.values()]

    async def _connected(self) -> dict[str, dict[str, Any]]:
        """Return by their names the workers that the scheduler knows."""
        identity = await self._link.call("identity")
        return {
            str(worker["name"]): {
                "name": str(worker["name"]),
                "state": "connected",
                "address": address,
                "threads": worker["nthreads"],
                "memory": worker.get("metrics", {}).get("memory"),
                "memory_limit": worker.get("memory_limit"),
                "executing": worker.get("metrics", {}).get("task_counts", {}).get("executing", 0),
            }
            for address, worker in identity["workers"].items()
        }
