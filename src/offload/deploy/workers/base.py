"""A head's workers: how many there are, and how some of them go."""

from __future__ import annotations

import asyncio
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from typing import Any

from offload.deploy.head.clients import SchedulerLink
from offload.engines.worker_states import LEAVING

BUSY_POLL, PLACE_POLL = 0.2, 2.0


AT_WORK = ("running", "starting")
"""States of workers that are about to connect: of those here, and of jobs."""

NOT_CONNECTED = sys.maxsize  # comes after all that the scheduler knows


class Member(ABC):
    """Workers that come and go together, nearly always one, from when they are wanted until they have been ended.

    Whatever comes in between is their own business.

    Attributes
    ----------
    name : str
        What it is called: as its worker, where that is one.
    """

    name: str

    @abstractmethod
    def start(self, after: float = 0.0) -> None:
        """Begin to keep it up, after some seconds."""

    @abstractmethod
    async def end(self) -> None:
        """See to it that it does not run any more."""

    @abstractmethod
    def each(self) -> list[dict[str, Any]]:
        """Return what is known of each worker: parts of its row, with ``name``, ``state``, ``pid`` and ``restarts``."""

    def says(self) -> str:
        """Return what it has last said, where its log is on this machine."""
        return ""

    @property
    def names(self) -> tuple[str, ...]:
        """What Dask calls its workers."""
        return (self.name,)

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
        self._missed: dict[str, float] = {}
        self._changing = asyncio.Lock()

    def __len__(self) -> int:
        return sum(len(child.names) for child in self._children.values())

    def __contains__(self, name: str) -> bool:
        return any(name in child.names for child in self._children.values())

    def member(self, name: str) -> Member | None:
        """Return the one of a name, if it is one of these."""
        return self._children.get(name)

    async def scale(self, count: int) -> None:
        """Have so many workers; those that go hand over what they hold, idle ones first.

        Where several come and go together, there are as many more as that needs.
        """
        async with self._changing:
            self.grow(count)
            await self._end(_within(len(self) - count, await self._waiting()))
            surplus = len(self) - count
            if not _within(surplus, self._children.values()):
                return
            known: list[str] = await self._link.call("workers_to_close", n=NOT_CONNECTED, attribute="name")
            place = {name: number for number, name in enumerate(known)}  # idle ones first

            def last(child: Member) -> int:
                return max((place[name] for name in child.names if name in place), default=NOT_CONNECTED)

            newest_first = [*reversed(self._children.values())]
            leaving = _within(surplus, sorted(newest_first, key=last))
            if self._patient:
                await self._let_go(leaving)
                return
            names = [name for child in leaving for name in self._children[child].names]
            await self._link.call("retire_workers", names=names, close_workers=False)
            await self._end(leaving)

    def grow(self, count: int, after: float = 0.0) -> None:
        """Have at least so many workers; new ones start after some seconds."""
        missing = count - len(self)
        while missing > 0:
            name = f"{self._prefix}-{self._next}"
            self._next += 1
            child = self._children[name] = self._make(name)
            child.start(after)
            missing -= len(child.names)

    def adopt(self, child: Member) -> None:
        """Take on a worker that an earlier head has started."""
        self._children[child.name] = child
        number = child.name.rpartition("-")[2]
        self._next = max(self._next, int(number) + 1 if number.isdigit() else 0)

    async def shrink(self, surplus: int, busy: Collection[str] = ()) -> None:
        """Let so many idle workers go; fewer where fewer are idle, or where what they hold has no other place.

        Those that are `busy` stay, idle as they may look to the scheduler. Of workers that go together all have to
        be idle.

        They take nothing on from now, and one that has got something to do in the last moment finishes it.
        """
        async with self._changing:
            if not _within(surplus, self._children.values()):
                return
            idle: list[str] = await self._link.call("workers_to_close", attribute="name")
            place = {name: number for number, name in enumerate(idle) if name not in busy}
            before = len(self)
            await self._end(_within(surplus, await self._waiting()))
            surplus -= before - len(self)
            connected = await self._connected()
            may_go = []
            for child in self._children.values():
                there = [name for name in child.names if name in connected]
                if there and all(name in place for name in there):
                    may_go.append(child)
            may_go.sort(key=lambda child: max(place.get(name, 0) for name in child.names))
            await self._let_go(_within(surplus, may_go))

    async def _connected(self) -> set[str]:
        identity = await self._link.call("identity")
        return {str(worker["name"]) for worker in identity["workers"].values()}

    async def _waiting(self) -> list[Member]:
        """Return those with whom nothing is lost, the newest first.

        One that waited when its batch system was last asked may be at work by now; the scheduler knows.
        """
        waiting = [child for child in reversed(self._children.values()) if child.waits]
        connected = await self._connected() if waiting else set()
        return [child for child in waiting if not connected.intersection(child.names)]

    async def replace(self, name: str) -> None:
        """Let a member go whose time is over, when what it holds has another place; another one comes at once."""
        async with self._changing:
            if name in self._children:
                before = len(self)
                await self._let_go([name], hand_over=True)
                self.grow(before)

    async def _let_go(self, names: list[str], hand_over: bool = False) -> None:
        """Have workers take nothing on from now, finish what they have begun, hand over what they hold, and end.

        With `hand_over` those whose results have no other place yet wait for one, and are at work as before.
        """
        if not names:
            return
        addresses = await self._retire([worker for name in names for worker in self._children[name].names])
        for name in names:
            own = {worker: addresses[worker] for worker in self._children[name].names if worker in addresses}
            if not own and not self._patient:
                continue  # what it holds has no other place
            child = self._leaving[name] = self._children.pop(name)
            departure = asyncio.create_task(self._depart(child, own, hand_over))
            self._departures.add(departure)
            departure.add_done_callback(self._departures.discard)

    async def _retire(self, workers: Collection[str]) -> dict[str, str]:
        """Have workers hand over what they hold and take nothing on; return the addresses of those that could."""
        retired = await self._link.call("retire_workers", names=list(workers), close_workers=False, remove=False)
        return {str(worker["name"]): address for address, worker in retired.items()}

    async def _depart(self, child: Member, addresses: dict[str, str], hand_over: bool) -> None:
        try:
            holding = set(child.names) - set(addresses) if hand_over else set()
            while holding and (holding := holding & await self._connected()):
                await asyncio.sleep(PLACE_POLL)
                addresses |= await self._retire(holding)
                holding -= set(addresses)
            for address in addresses.values():
                while await self._is_at_work(address):
                    await asyncio.sleep(BUSY_POLL)
        except (OSError, TimeoutError):
            pass  # the scheduler is gone, and with it what this worker had to do
        await child.end()
        del self._leaving[child.name]

    async def _is_at_work(self, address: str) -> bool:
        try:
            return any((await self._link.call("processing", workers=[address])).values())
        except KeyError:  # the scheduler knows it no more: it was lost before it had finished
            return False

    async def end(self) -> None:
        """End all of them at once."""
        for departure in self._departures:
            departure.cancel()
        self._children.update(self._leaving)
        await self._end(list(self._children))

    async def _end(self, names: list[str]) -> None:
        await asyncio.gather(*(self._children.pop(name).end() for name in names))

    def had(self, name: str) -> bool:
        """Tell whether a worker of that name is or was one of these."""
        prefix, _, number = name.rpartition("-")
        number = number.partition(".")[0]  # of the workers of one allocation
        return prefix == self._prefix and number.isdigit() and int(number) < self._next

    def status(self, known: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what is known of each worker: parts of its row.

        Parameters
        ----------
        known : dict
            What the scheduler knows of workers, by their names; those that are of these are taken out.
        """
        gone = [name for name in known if self.had(name) and name not in self and not self._leaves(name)]
        staying = [self._merged(child, one, known) for child in self._children.values() for one in child.each()]
        leaving = [self._merged(child, one, known) for child in self._leaving.values() for one in child.each()]
        leaving += [known.pop(name) for name in gone]  # they have ended, and the scheduler will see that
        return staying + [{**one, "state": LEAVING} for one in leaving]

    def _leaves(self, name: str) -> bool:
        return any(name in child.names for child in self._leaving.values())

    def _merged(self, member: Member, described: dict[str, Any], known: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Return how a worker is, by what its member and, where it is connected, the scheduler say.

        One that runs and is not connected has ``missed``: for how many seconds, since that was first seen.
        """
        name = described["name"]
        connected = known.pop(name, None)
        if connected is not None:
            self._missed.pop(name, None)
            return {**described, "reason": "", **connected}
        described = described if described.get("reason") else {**described, "reason": member.says()}
        if described["state"] not in AT_WORK:
            self._missed.pop(name, None)
            return described
        now = time.monotonic()
        return {**described, "missed": now - self._missed.setdefault(name, now)}


def _within(count: int, members: Iterable[Member]) -> list[str]:
    """Return the first of some members, with not more workers than so many."""
    found = []
    for member in members:
        count -= len(member.names)
        if count < 0:
            break
        found.append(member.name)
    return found
