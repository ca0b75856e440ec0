"""The workers of a deployment, in groups that are alike: which there are, and how all of them are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

from offload.deploy.config.spec import LOCAL, Spec
from offload.deploy.head.clients import SchedulerLink
from offload.deploy.workers.base import Workers
from offload.deploy.workers.local import local_workers
from offload.engines.worker_states import SILENT, WorkerRow, worker_row
from offload.registry.deployments import Place
from offload.util.resources import HIDDEN, Resources, parse_resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.deploy.workers.batch_queue import Queue


TOLD_AFTER = 15.0
"""Seconds without a word from a worker, after which that is told."""


class Group:
    """Workers that are alike.

    Attributes
    ----------
    name : str
        Begins the names of its workers.
    spec : Spec
        What they are to be.
    workers : Workers
        Those that there are.
    resources : Resources
        What each of them has.
    """

    def __init__(self, name: str, spec: Spec, workers: Workers) -> None:
        self.name = name
        self.spec = spec
        self.workers = workers
        self.resources: Resources = parse_resources(spec.resources)


STATUS_SECONDS = 8.0
"""In which the scheduler has to answer, for a status."""


class Groups:
    """All groups of a deployment.

    Parameters
    ----------
    place : Place
        The deployment.
    spec : Spec
        Says which groups there are.
    link : SchedulerLink
        Asked what workers do.
    say : callable
        Gets lines for the head's log.

    Attributes
    ----------
    queue : Queue or None
        The jobs of those that are jobs.
    reached : bool
        Whether the scheduler gave an answer when it was last asked for its workers.
    """

    def __init__(self, place: Place, spec: Spec, link: SchedulerLink, say: Callable[[str], None]) -> None:
        self._link = link
        self._own = spec.scheduler is None
        self.queue: Queue | None = None
        self.reached = False
        if spec.systems():
            from offload.deploy.workers.allocation_requests import queue_of

            self.queue = queue_of(place, spec, say)
            self.queue.connected = self.connected
            self.queue.longest = lambda: link.call("longest")
            self.queue.walltimes = lambda ends: link.call("walltimes", ends=ends)
        self._groups = {
            name: Group(name, spec.group(name), self._made(place, spec, name)) for name in spec.group_names()
        }
        if self.queue is not None:
            from offload.deploy.workers.allocation_requests import adopt

            adopt(self.queue, self.of, say)

    def _made(self, place: Place, spec: Spec, name: str) -> Workers:
        if spec.group(name).provider == LOCAL:
            return local_workers(place, spec, self._link, name)
        assert self.queue is not None
        return Workers(self._link, self.queue.make, patient=True, prefix=name)

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def __getitem__(self, name: str) -> Group:
        return self._groups[name]

    def of(self, worker: str) -> Workers:
        """Return those that a worker belongs to, or belonged to before it went."""
        for group in self:
            if worker in group.workers:
                return group.workers
        prefix = worker.rpartition("-")[0]
        return (self._groups.get(prefix) or next(iter(self))).workers

    async def status(self) -> list[WorkerRow]:
        """Return what each worker is and does; also of those that somebody else has started."""
        try:
            known = await asyncio.wait_for(self.connected(), STATUS_SECONDS)
            self.reached = True
        except (TimeoutError, OSError):
            known = {}  # the scheduler is being started again
            self.reached = False
        found = []
        for group in self:
            own = {"group": group.name, "provider": group.spec.provider}
            found += [worker_row({**own, **one}) for one in group.workers.status(known)]
        return found + [worker_row({"joined": True, **worker}) for worker in known.values()]

    async def connected(self) -> dict[str, dict[str, Any]]:
        """Return by their names the workers that the scheduler knows.

        One of which nothing has been heard for a while is ``silent``, for so many ``seconds``.
        """
        identity = await self._link.call("identity")
        known = self._described(identity)
        now = time.time()
        silent = {
            str(worker["name"]): now - worker["last_seen"]
            for worker in identity["workers"].values()
            if self._own and now - worker["last_seen"] > TOLD_AFTER
        }
        if silent:
            reasons = (await self._link.call("silence"))["silent"]
            for name, seconds in silent.items():
                known[name] |= {"state": SILENT, "seconds": seconds, "reason": reasons.get(name, "")}
        return known

    def _described(self, identity: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {
            str(worker["name"]): {
                "name": str(worker["name"]),
                "state": "connected",
                "address": address,
                "threads": worker["nthreads"],
                "memory": worker.get("metrics", {}).get("memory"),
                "memory_limit": worker.get("memory_limit"),
                "resources": {name: n for name, n in worker.get("resources", {}).items() if name not in HIDDEN},
                "executing": worker.get("metrics", {}).get("task_counts", {}).get("executing", 0),
                "stopped": worker.get("metrics", {}).get("offload_stopped", []),
                "paused": worker.get("status") == "paused",
            }
            for address, worker in identity["workers"].items()
        }

    async def end(self) -> None:
        """End all workers at once."""
        for group in self:
            await group.workers.end()

    async def close(self) -> None:
        """Look at jobs no more; they go on."""
        if self.queue is not None:
            await self.queue.close()
