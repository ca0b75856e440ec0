"""Workers of which nothing is heard any more: asked after, given nothing to do, and replaced when they are frozen.

A worker tells its scheduler every second or so that it is there. One that has been stopped, or that hangs in a file
system, does not; but neither does one whose code holds Python's lock, as a long regular expression does. What its
nanny sees of its process tells them apart: the second kind is at work and stays. Dask's own time limit would end both.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from distributed import Scheduler
from distributed.core import Status
from tornado.ioloop import PeriodicCallback

from offload.engines.nanny import DISK, STOPPED
from offload.engines.worker_states import ENGAGED

TOLD_AFTER, GIVEN_UP_AFTER, SURE_AFTER = 15.0, 60.0, 30.0
"""Seconds of silence: until it is a problem, until a frozen worker is replaced, and for which it has to look frozen."""

BLIND_AFTER = 300.0
"""Seconds of silence after which a worker is given up that nobody can look at, as Dask does by default."""

LOOK_EVERY, ASK_SECONDS = 5.0, 10.0
STIMULUS = "offload-silence"

logger = logging.getLogger("distributed.scheduler")


class Silent:
    """A worker of which nothing is heard.

    Attributes
    ----------
    how : str
        What it does, in words; "" where nobody can tell.
    unreached : bool
        Whether its nanny does not answer, either.
    paused : bool
        Whether it gets nothing to do because of that.
    """

    def __init__(self) -> None:
        self.how = ""
        self.unreached = False
        self.paused = False
        self.blind = False
        self._cpu = -1.0
        self._frozen_since: float | None = None

    def see(self, told: dict[str, Any] | None, has_nanny: bool, now: float) -> None:
        """Take in what its nanny says; None if that does not answer, and nothing of the worker if it cannot tell."""
        seen = (told or {}).get("worker")
        self.blind = not has_nanny or (told is not None and seen is None)
        self.unreached = has_nanny and told is None
        frozen = self.unreached
        if self.unreached:
            self.how = "nor does its nanny answer"
        elif seen is None:
            self.how = ""
        else:
            worked, self._cpu = seen["cpu"] > self._cpu, seen["cpu"]
            frozen = seen["state"] == STOPPED or (seen["state"] == DISK and not worked)
            self.how = {
                STOPPED: "its process has been stopped",
                DISK: "it waits for a disk or a file system",
                "gone": "its process has ended",
            }.get(seen["state"], ENGAGED)
        self._frozen_since = (self._frozen_since or now) if frozen else None

    def is_lost(self, silent: float, now: float) -> bool:
        """Tell whether it is frozen for good, after so many seconds of silence."""
        if self.blind:
            return silent >= BLIND_AFTER
        return silent >= GIVEN_UP_AFTER and self._frozen_since is not None and now - self._frozen_since >= SURE_AFTER


class Silence:
    """Looks after the silent workers of a scheduler.

    Parameters
    ----------
    scheduler : Scheduler
        Theirs; it has this as a handler, ``silence``.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._found: dict[str, Silent] = {}
        self._given_up: dict[str, str] = {}
        self._looked = time.monotonic()
        scheduler.handlers["silence"] = self.described
        scheduler.periodic_callbacks["silence"] = PeriodicCallback(self.look, LOOK_EVERY * 1000)

    def described(self) -> dict[str, dict[str, str]]:
        """Return what each silent worker does; and, of those given up whose nanny did not answer, the address."""
        workers = self._scheduler.workers
        return {
            "silent": {
                str(workers[address].name): one.how for address, one in self._found.items() if address in workers
            },
            "unreached": self._given_up,
        }

    async def look(self) -> None:
        """Ask after those that are silent."""
        now, before = time.monotonic(), self._looked
        self._looked = now
        workers = dict(self._scheduler.workers)
        self._given_up = {n: a for n, a in self._given_up.items() if n not in self._scheduler.aliases}
        if now - before > 3 * LOOK_EVERY:
            return  # it was this process that was stopped
        silent = {address: time.time() - state.last_seen for address, state in workers.items()}
        for address in [*self._found]:
            if silent.get(address, 0.0) < TOLD_AFTER:
                self._is_back(address, self._found.pop(address))
        await asyncio.gather(*(self._ask(address, s) for address, s in silent.items() if s >= TOLD_AFTER))

    def _is_back(self, address: str, one: Silent) -> None:
        state = self._scheduler.workers.get(address)
        if state is not None and one.paused and state.status is Status.paused:
            self._scheduler.handle_worker_status_change(Status.running, state, STIMULUS)

    async def _ask(self, address: str, silent: float) -> None:
        state = self._scheduler.workers[address]
        one = self._found.setdefault(address, Silent())
        if state.status is Status.running:  # what it has not begun, it could not; others get what comes now
            self._scheduler.handle_worker_status_change(Status.paused, state, STIMULUS)
            one.paused = True
        one.see(await self._nanny(state.nanny, "identity"), state.nanny is not None, time.monotonic())
        if address not in self._scheduler.workers or not one.is_lost(silent, time.monotonic()):
            return
        logger.warning("Nothing was heard of %s for %.0f s (%s): it is replaced", state.name, silent, one.how)
        if one.unreached:
            self._given_up[str(state.name)] = address
        del self._found[address]
        await self._scheduler.remove_worker(address, stimulus_id=STIMULUS, expected=True)
        if not one.unreached and not one.blind:
            await self._nanny(state.nanny, "end_frozen")

    async def _nanny(self, address: str | None, what: str) -> dict[str, Any] | None:
        """Return what a nanny answers; None if it does not."""
        if address is None:
            return None
        try:
            async with asyncio.timeout(ASK_SECONDS):
                told: dict[str, Any] = await getattr(self._scheduler.rpc(address), what)()
                return told
        except (OSError, TimeoutError):
            return None
