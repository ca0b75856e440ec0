"""Large uploads: so many at a time, each with a thread; one that stands still gives way to one that waits."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from offload.storage.http.server.bodies import Pipe

    T = TypeVar("T")

PATIENCE = 5.0
"""Seconds without a byte after which an upload gives way to another one that waits."""


class Uploads:
    """The threads of large uploads.

    Parameters
    ----------
    count : int
        How many there are; more uploads wait, the first that came first.
    """

    def __init__(self, count: int) -> None:
        self.threads = ThreadPoolExecutor(count, "offload-upload")
        self._room = asyncio.Semaphore(count)
        self._taken: set[Pipe] = set()
        self._waiting = 0

    async def run(self, pipe: Pipe, work: Callable[[Pipe], T]) -> T:
        """Let a thread work on a body, as soon as there is one for it."""
        loop = asyncio.get_running_loop()
        await self._wait(loop)
        self._taken.add(pipe)
        try:
            return await asyncio.shield(loop.run_in_executor(self.threads, work, pipe))
        finally:
            self._taken.discard(pipe)
            self._room.release()

    async def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        turn = loop.create_task(self._room.acquire())
        self._waiting += 1
        try:
            await asyncio.wait([turn], timeout=0)
            while not turn.done():
                await asyncio.wait([turn], timeout=self._give_way(loop.time()))
        except asyncio.CancelledError:
            if not turn.cancel():  # it has come in this very moment
                self._room.release()
            raise
        finally:
            self._waiting -= 1

    def _give_way(self, now: float) -> float:
        """Break off as many of those that stand still as others wait; return the seconds until there may be more."""
        silent = sorted((since, id(one), one) for one in self._taken if (since := one.silent_since) is not None)
        leaving = sum(one.gives_way for _, _, one in silent)
        for since, _, one in silent:
            if since + PATIENCE > now:
                return since + PATIENCE - now
            if not one.gives_way and leaving < self._waiting:
                one.give_way(f"no byte for {now - since:.0f} s, while others wait")
                leaving += 1
        return PATIENCE
