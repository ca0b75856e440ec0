"""A head's workers: how many there are, and how some of them go."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import Any

from offload.deploy.head.link import SchedulerLink

BUSY_POLL = 0.2


class Member(ABC):
    """One worker, from when it is wanted until it has been ended; whatever comes in between is its own business.

    Attributes
    ----------
    name : str
        What Dask calls it.
    """

    name: str

    @abstractmethod
    def start(self, after: float = 0.0) -> None:
        """Begin to keep it up, after some seconds."""

    @abstractmethod
    async def end(self) -> None:
        """See to it that it does not run any more."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """Return how it is, as plain values: ``name``, ``state``, ``pid``, ``restarts``, and why it is so."""

    @property
    def waits(self) -> bool:
        """Whether it has not begun to run, so that nothing is lost when it goes."""
        return False


class Workers:
    """Workers of any kind.

    Parameters
    ----------
    link : SchedulerLink
        Asked what workers do, and told which of them go.
    make : callable
        Makes the member of a name.
    patient : bool
        Whether those that go when their number is changed finish first what they have begun.
    prefix : str
        What their names begin with.
    """

    def __init__(
        self, link: SchedulerLink, make: Callable[[str], Member], patient: bool = False, prefix: str = "worker"
    ) -> None:
        self._link = link
        self._make = make
        self._patient = patient
        self._prefix = prefix
        self._children: dict[str, Member] = {}
        self._leaving: dict[str, Member] = {}
        self._departures: set[asyncio.Task[None]] = set()
        self._next = 0
        self._changing = asyncio.Lock()

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
            waiting = [name for name, child in self._children.items() if child.waits][::-1][:surplus]
            await self._end(waiting)
            surplus -= len(waiting)
            if not surplus:
                return
            idle: list[str] = await self._link.call("workers_to_close", n=surplus, attribute="name")
            named = [name for name in idle if name in self._children]
            others = [name for name in self._children if name not in named]
            leaving = (named + others[::-1])[:surplus]
            if self._patient:
                await self._let_go(leaving)
                return
            await self._link.call("retire_workers", names=leaving, close_workers=False)
            await self._end(leaving)

    def grow(self, count: int, after: float = 0.0) -> None:
        """Have at least so many workers; new ones start after some seconds."""
        while len(self) < count:
            name = f"{self._prefix}-{self._next}"
            self._next += 1
            child = self._children[name] = self._make(name)
            child.start(after)

    def adopt(self, child: Member) -> None:
        """Take on a worker that an earlier head has started."""
        self._children[child.name] = child
        number = child.name.rpartition("-")[2]
        self._next = max(self._next, int(number) + 1 if number.isdigit() else 0)

    async def shrink(self, surplus: int, busy: Collection[str] = ()) -> None:
        """Let so many idle workers go; fewer where fewer are idle, or where what they hold has no other place.

        Those that are `busy` stay, idle as they may look to the scheduler.

        They take nothing on from now, and one that has got something to do in the last moment finishes it.
        """
        async with self._changing:
            idle: list[str] = await self._link.call("workers_to_close", attribute="name")
            waiting = [name for name, child in self._children.items() if child.waits][::-1][:surplus]
            await self._end(waiting)
            names = [name for name in idle if name in self._children and name not in busy]
            await self._let_go(names[: surplus - len(waiting)])

    async def replace(self, name: str) -> None:
        """Let a worker go whose time is over, and have another one come in its place."""
        async with self._changing:
            if name in self._children:
                await self._let_go([name])
                self.grow(len(self) + 1)

    async def _let_go(self, names: list[str]) -> None:
        """Have workers take nothing on from now, finish what they have begun, hand over what they hold, and end."""
        if not names:
            return
        retired = await self._link.call("retire_workers", names=names, close_workers=False, remove=False)
        addresses = {str(worker["name"]): address for address, worker in retired.items()}
        for name in names:
            if name not in addresses and not self._patient:
                continue  # what it holds has no other place
            self._leaving[name] = self._children.pop(name)
            departure = asyncio.create_task(self._depart(name, addresses.get(name)))
            self._departures.add(departure)
            departure.add_done_callback(self._departures.discard)

    async def _depart(self, name: str, address: str | None) -> None:
        try:
            while address is not None and any((await self._link.call("processing", workers=[address])).values()):
                await asyncio.sleep(BUSY_POLL)
        except (OSError, TimeoutError):
            pass  # the scheduler is gone, and with it what this worker had to do
        await self._leaving[name].end()
        del self._leaving[name]

    async def end(self) -> None:
        """End all of them at once."""
        for departure in self._departures:
            departure.cancel()
        self._children.update(self._leaving)
        await self._end(list(self._children))

    async def _end(self, names: list[str]) -> None:
        await asyncio.gather(*(self._children.pop(name).end() for name in names))

    def status(self, known: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what each worker is and does, as plain values.

        Parameters
        ----------
        known : dict
            What the scheduler knows of workers, by their names; those that are of these are taken out.
        """
        own = [_merged(child, known.pop(child.name, None)) for child in self._children.values()]
        for child in self._leaving.values():
            own.append({**_merged(child, known.pop(child.name, None)), "state": "leaving"})
        return own


def _merged(child: Member, known: dict[str, Any] | None) -> dict[str, Any]:
    """Return how a worker is, by what its member and, where it is connected, the scheduler say."""
    described = child.described()
    if known is None:
        return described
    if "reason" in described:
        described["reason"] = ""
    return {**described, **known}
