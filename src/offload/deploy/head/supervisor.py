"""What the head does: bring the services up, keep them up, change their number, bring them down."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
import time
from typing import Any

from offload.compute.contact import Contact
from offload.compute.liveness import started
from offload.compute.places import Place
from offload.deploy.daskside import dask_security
from offload.deploy.head.children import Child
from offload.deploy.processes import python
from offload.deploy.spec import spec_of

RETIRE_SECONDS = 30.0


class Head:
    """The supervisor of one deployment.

    Parameters
    ----------
    place : Place
        The deployment.
    url : str
        Where the head itself listens.
    """

    def __init__(self, place: Place, url: str) -> None:
        self.place = place
        self.spec = spec_of(place)
        # Short, whatever the home is called: the path of a Unix socket has room for 107 bytes.
        self._runtime = tempfile.TemporaryDirectory(prefix="offload-")
        self.socket = os.path.join(self._runtime.name, "dashboard")
        pid = os.getpid()
        runtime = self._runtime.name
        self.contact = Contact(
            "starting",
            {"pid": pid, "started": started(pid), "host": socket.gethostname(), "url": url, "runtime": runtime},
        )
        self.scheduler = Child(
            "scheduler",
            self._scheduler_command,
            place.log("scheduler"),
            announces=True,
            announced=self._scheduler_is_at,
        )
        self.jobs = Child("jobs", self._jobs_command, place.log("jobs"), announces=True, announced=self._jobs_are_at)
        self.workers: dict[str, Child] = {}
        self._next_worker = 0
        self.stopping: asyncio.Task[None] | None = None
        self.stopped = asyncio.Event()
        self.began = time.time()

    async def start(self) -> None:
        """Bring everything up, and say in the contact file when it is."""
        self.contact.write(self.place.contact)
        if not self.spec.storage_only:
            self.scheduler.start()
            await self.scheduler.first_ready()
            self.jobs.start()
            await self.scale(self.spec.workers)
            await self.jobs.first_ready()
        self.contact.state = "running"
        self.contact.write(self.place.contact)

    def stop(self) -> None:
        """Begin to bring everything down, once."""
        if self.stopping is None:
            self.stopping = asyncio.create_task(self._stop())

    async def _stop(self) -> None:
        """Bring everything down, workers first."""
        self.contact.state = "stopping"
        self.contact.write(self.place.contact)
        await asyncio.gather(*(worker.end() for worker in self.workers.values()))
        await self.jobs.end()
        await self.scheduler.end()
        self._runtime.cleanup()
        os.unlink(self.place.contact)
        self.stopped.set()

    async def scale(self, count: int) -> None:
        """Have so many workers; those that go hand over what they hold."""
        while len(self.workers) < count:
            name = f"worker-{self._next_worker}"
            self._next_worker += 1
            command = python("offload.deploy.worker", self.place.path, name)
            child = self.workers[name] = Child(name, lambda command=command: command, self.place.log(name))  # type: ignore[misc]
            child.start()
        leaving = list(self.workers)[count:]
        if leaving:
            await self._call("retire_workers", names=leaving, close_workers=False)
            await asyncio.gather(*(self.workers.pop(name).end() for name in leaving))

    async def status(self) -> dict[str, Any]:
        """Return what runs and what is waited for, as plain values."""
        services = [] if self.spec.storage_only else [_described(self.scheduler), _described(self.jobs)]
        return {
            "name": self.place.name,
            "state": self.contact.state,
            "since": self.began,
            "head": self.contact.head,
            "scheduler": self.contact.scheduler,
            "jobs": self.contact.jobs,
            "services": services,
            "workers": [await self._worker_status(child) for child in self.workers.values()],
        }

    async def _worker_status(self, child: Child) -> dict[str, Any]:
        described = _described(child)
        try:
            identity = await self._call("identity") if self.scheduler.ready.is_set() else {"workers": {}}
        except (TimeoutError, OSError):
            identity = {"workers": {}}
        for address, worker in identity["workers"].items():
            if worker["name"] == child.name:
                metrics = worker.get("metrics", {})
                return {
                    **described,
                    "state": "connected",
                    "address": address,
                    "threads": worker["nthreads"],
                    "memory": metrics.get("memory"),
                    "memory_limit": worker.get("memory_limit"),
                    "executing": metrics.get("task_counts", {}).get("executing", 0),
                }
        return described

    async def _call(self, what: str, **arguments: Any) -> Any:
        from distributed.core import rpc

        security = dask_security(self.place.keys)
        async with rpc(self.contact.scheduler, connection_args=security.get_connection_args("client")) as scheduler:
            return await asyncio.wait_for(getattr(scheduler, what)(**arguments), RETIRE_SECONDS)

    def _scheduler_command(self) -> list[str]:
        # One that is started again listens where its workers and clients know it to be.
        known = [self.contact.scheduler.rpartition(":")[2]] if self.contact.scheduler else []
        return python("offload.deploy.scheduler", self.place.path, self.socket, *known)

    def _jobs_command(self) -> list[str]:
        known = [self.contact.jobs.rpartition(":")[2]] if self.contact.jobs else []
        return python("offload.deploy.jobs", self.place.path, *known)

    def _jobs_are_at(self, announced: dict[str, Any]) -> None:
        self.contact.jobs = announced["url"]
        self.contact.write(self.place.contact)

    def _scheduler_is_at(self, announced: dict[str, Any]) -> None:
        self.contact.scheduler = announced["address"]
        self.contact.write(self.place.contact)


def _described(child: Child) -> dict[str, Any]:
    return {"name": child.name, "state": child.state, "pid": child.pid, "restarts": child.restarts}


def log(text: str) -> None:
    """Write a line to the head's log."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} offload head: {text}\n")
    sys.stderr.flush()
