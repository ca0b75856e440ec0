"""What the head does: bring the services up, keep them up, change the number of workers, bring everything down."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from typing import Any

from offload.commands.running.stale_scratch import temporary
from offload.deploy import envfile
from offload.deploy.config.spec import LOCAL, WORKER, Spec, spec_of
from offload.deploy.head.autoscale import Adaptive
from offload.deploy.head.children import Child
from offload.deploy.head.clients import SchedulerLink, ServiceLink
from offload.deploy.head.container import end_with_it
from offload.deploy.head.frozen_services import Ask, end_frozen_services
from offload.deploy.head.frozen_workers import end_frozen
from offload.deploy.head.idle import Idle, of_scheduler, of_service
from offload.deploy.head.services import Services
from offload.deploy.logs import shorten
from offload.deploy.workers.groups import Group, Groups
from offload.engines.dask_settings import temporary_directory
from offload.engines.worker_states import SILENT, STOPPED_SERVICE
from offload.environments.usage import keep_used
from offload.errors import OffloadError, StorageError, UsageError
from offload.http.software import gone
from offload.registry.contact import Contact
from offload.registry.deployments import Place, is_unwanted
from offload.util.files import write_whole
from offload.util.filesystems import translated
from offload.util.liveness import started
from offload.util.quantities import duration_text
from offload.util.resources import resources_text

FIRST_RESULT = 1.0  # seconds in which the first workers are connected, where they have a processor each

LONGEST = 70
"""Characters of a temporary directory in which a Unix socket has room for its name."""

LOOK_EVERY = 2.0
"""Seconds between two looks whether the directory of the deployment is there."""


class Head:
    """The supervisor of one deployment.

    Parameters
    ----------
    place : Place
        The deployment.
    url : str
        Where the head itself listens.
    job : str, optional
        The job of a batch system that it is.
    """

    def __init__(self, place: Place, url: str, job: str | None = None) -> None:
        self.place = place
        self.spec = spec_of(place)
        # Short, whatever the home is called: the path of a Unix socket has room for 107 bytes.
        long = len(tempfile.gettempdir()) > LONGEST
        self._runtime = temporary("/tmp" if long else None)
        scratch = self.spec.scratch or _wanted() or (tempfile.gettempdir() if long else None)
        self._scratch = self._runtime if scratch is None else _directory_in(scratch)
        self.socket = os.path.join(self._runtime.name, "dashboard")
        pid = os.getpid()
        own = {"pid": pid, "started": started(pid), "host": socket.gethostname(), "url": url}
        own["place"] = place.path
        own |= {"job": job} if job is not None else {}
        own |= {"workers_host": self.spec.workers_host} if self.spec.workers_host is not None else {}
        self.contact = Contact("starting", {**own, "runtime": self._runtime.name, "scratch": self._scratch.name})
        self.link = SchedulerLink(place, self.contact)
        self.jobs_link = ServiceLink(place, lambda: self.contact.jobs)
        self.storage_link = ServiceLink(place, lambda: self.contact.storage)
        self.services = Services(place, self.contact, self.socket)
        self.groups = Groups(place, self.spec, self.link, log)
        self.adaptive = Adaptive(self.groups, self.link, self.jobs_link)
        self.stopping: asyncio.Task[None] | None = None
        self.stopped = asyncio.Event()
        self.served = asyncio.Event()  # set when the head can be asked
        self.began = time.time()
        self.asked = time.monotonic()
        self.starting: asyncio.Task[None] | None = None
        self._idle: asyncio.Task[None] | None = None
        self._move: asyncio.Task[None] | None = None
        self._moves = False
        self._used: asyncio.Task[None] | None = None
        self._contained: asyncio.Task[None] | None = None
        self._there: asyncio.Task[None] | None = None
        self._frozen: asyncio.Task[None] | None = None
        self._frozen_services: asyncio.Task[None] | None = None

    @property
    def running(self) -> list[Child]:
        """The services that this deployment has."""
        known = self.services
        if self.spec.storage_only:
            return [known.storage]
        return [known.jobs, known.storage] if self.spec.scheduler else [known.scheduler, known.jobs, known.storage]

    def _asks(self) -> dict[Child, Ask]:
        """Return how each service is asked for something, to see whether it answers."""
        return {
            self.services.scheduler: lambda: self.link.call("identity", n_workers=0),
            self.services.jobs: lambda: self.jobs_link.get("/v1/status"),
            self.services.storage: lambda: self.storage_link.get("/v1/idle"),
        }

    async def start(self) -> None:
        """Bring everything up, and say in the contact file when it is."""
        self.contact.scheduler = self.spec.scheduler
        self.contact.write(self.place.contact)
        self._used = asyncio.create_task(keep_used(), name="used")
        self._contained = asyncio.create_task(end_with_it(log), name="container")
        self._there = asyncio.create_task(self._end_when_gone(), name="there")
        services = self.services
        services.storage.start()
        own = self.spec.scheduler is None and not self.spec.storage_only
        if own:
            services.scheduler.start()
            await self._settled(services.scheduler)
        if not self.spec.storage_only:
            services.jobs.start()
            await self._settled(services.jobs, services.storage)
        # Importing Dask keeps a processor busy. At first only those start that the services leave one for; the others
        # follow when these can give a first result.
        free = max(1, len(os.sched_getaffinity(0)) - len(self.running))
        for group in self.groups if own else ():
            if group.spec.provider == LOCAL:
                group.workers.grow(min(group.spec.least(), free))
                free -= min(group.spec.least(), free)
        for service in self.running:
            await service.first_ready()
        if own:
            self._frozen = asyncio.create_task(end_frozen(self.link, self.groups, log), name="frozen")
        asks = {child: ask for child, ask in self._asks().items() if child in self.running}
        self._frozen_services = asyncio.create_task(end_frozen_services(asks, log), name="frozen services")
        for group in self.groups if own else ():
            group.workers.grow(group.spec.least(), after=FIRST_RESULT)
            if group.spec.maximum is not None:
                self.adaptive.begin(group.name, group.spec.minimum, group.spec.maximum)
        await self.served.wait()
        self.contact.state = "running"
        self.contact.write(self.place.contact)
        envfile.refresh(self.place, self.contact)
        if job := self.contact.head.get("job"):
            self._move = asyncio.create_task(self._move_before_the_end(job), name="take over")
        if self.spec.idle is not None:
            self._idle = asyncio.create_task(self._end_when_idle(self.spec.idle), name="idle")

    async def _move_before_the_end(self, job: str) -> None:
        """Have another job take over before the walltime is over: workers and clients follow the contact."""
        from offload.deploy.head.handover import TakeOver

        try:
            end = await TakeOver(self.place, job, log).wait(self.spec)
        except OffloadError as exc:
            log(f"no other head could be submitted: {exc.message}; {self.place.name} ends with job {job}")
            return
        log("another head has been submitted; it takes over when this one has ended")
        await asyncio.sleep(max(0.0, end - time.time()))
        self._moves = True
        self.stop()

    async def _settled(self, *services: Child) -> None:
        """Of a narrow range one takes its port after the other, workers last: they leave services what is theirs."""
        if self.spec.ports is not None:
            for service in services:
                await service.first_ready()

    async def _end_when_idle(self, seconds: float) -> None:
        async def asked() -> float:
            return time.monotonic() - self.asked

        looks = [asked, of_service(self.storage_link, "/v1/idle")]
        if not self.spec.storage_only:
            looks.append(of_service(self.jobs_link, "/v1/status"))
        if self.services.scheduler in self.running:
            looks.append(of_scheduler(self.link))
        await Idle(seconds, looks).wait()
        reason = f"idle for {duration_text(seconds)}"
        log(f"{self.place.name} ends: {reason}")
        self.note_end(reason)
        self.stop()

    async def _end_when_gone(self) -> None:
        """End when somebody says so in the directory, or has removed it: nobody could find this deployment any more."""
        while not is_unwanted(self.place):
            await asyncio.sleep(LOOK_EVERY)
            await asyncio.to_thread(shorten, self.place)
        gone = f"{self.place.path} is gone" if not os.path.isdir(self.place.path) else "it was told to, from elsewhere"
        log(f"{self.place.name} ends: {gone}")
        self.stop()

    def note_end(self, reason: str) -> None:
        """Keep for the owner why the deployment has ended without them."""
        write_whole(self.place.ended, reason + "\n")

    def stop(self) -> None:
        """Begin to bring everything down, once."""
        if self.stopping is None:
            self.stopping = asyncio.create_task(self._stop())

    async def _stop(self) -> None:
        """Bring everything down; whatever fails on the way, the head ends, and its children do when it has."""
        try:
            await self._bring_down()
        except (OSError, OffloadError) as exc:
            log(f"not all could be brought down in order: {exc}")
        finally:
            self.stopped.set()

    async def _bring_down(self) -> None:
        """Bring everything down, workers first."""
        for task in (
            self.starting,
            self._frozen,
            self._frozen_services,
            self._idle,
            None if self._moves else self._move,
        ):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self.contact.state = "starting" if self._moves else "stopping"
        with contextlib.suppress(
            StorageError, OSError
        ):  # neither a full disk nor one that is gone keeps it from ending
            self.contact.write(self.place.contact)
        await self.adaptive.close()
        if not self._moves or self.groups.queue is None:  # jobs go on, and work for the head that takes over
            await self.groups.end()
        await self.groups.close()
        await asyncio.gather(self.jobs_link.close(), self.storage_link.close())
        await asyncio.gather(self.services.jobs.end(), self.services.storage.end())
        await self.link.close()
        await self.services.scheduler.end()
        for directory in (self._runtime, self._scratch):
            directory.cleanup()
        if not self._moves:
            envfile.end(self.place)
        with contextlib.suppress(FileNotFoundError):  # somebody has tidied up after us already
            os.unlink(self.place.contact)

    async def scale(self, count: int, group: str = WORKER) -> None:
        """Have so many workers, also when this head is started again."""
        self._check_scaling(group)
        wanted = self.spec.with_group(group, workers=count, minimum=0, maximum=None)
        self.adaptive.end(group)
        await self.groups[group].workers.scale(count)
        self._keep(wanted)

    async def adapt(self, minimum: int, maximum: int, group: str = WORKER) -> None:
        """Have as many workers as the work asks for, also when this head is started again."""
        self._check_scaling(group)
        wanted = self.spec.with_group(group, minimum=minimum, maximum=maximum)
        self.adaptive.begin(group, minimum, maximum)
        self._keep(wanted)

    def _check_scaling(self, group: str) -> None:
        if group not in self.spec.group_names():
            names = ", ".join(self.spec.group_names())
            raise UsageError(f"{self.place.name} has no group of workers called {group}", f"there are: {names}")
        if self.spec.storage_only:
            raise UsageError(f"{self.place.name} is storage only: it has no workers", "offload up, under another name")
        if self.spec.scheduler is not None:
            raise UsageError(
                f"the workers of {self.place.name} are not offload's: others have started {self.spec.scheduler}",
                f"start and end workers as they do: dask worker {self.spec.scheduler}",
            )

    def _keep(self, spec: Spec) -> None:
        self.spec = spec
        write_whole(self.place.spec, spec.to_json())

    async def status(self) -> dict[str, Any]:
        """Return what runs and what is waited for, as plain values."""
        reachable = self.spec.scheduler is not None or self.services.scheduler.ready.is_set()
        workers = await self.groups.status() if reachable else []
        services = [{**child.described(), "since": child.since} for child in self.running]
        for service in services:
            if (
                service["name"] == "scheduler"
                and service["state"] == "running"
                and reachable
                and not self.groups.reached
            ):
                service |= {"state": SILENT, "reason": STOPPED_SERVICE}
        if self.spec.scheduler is not None:
            answers = "running" if self.groups.reached else "away"
            hint = "others have started it; it is waited for"
            services.insert(0, {"name": "scheduler", "state": answers, "pid": None, "restarts": 0, "hint": hint})
        return {
            "name": self.place.name,
            "state": self.contact.state,
            "since": self.began,
            "head": self.contact.head,
            "scheduler": self.contact.scheduler,
            "jobs": self.contact.jobs,
            "storage": self.contact.storage,
            "adaptive": self._limits(WORKER),
            "groups": [self._described(group) for group in self.groups] if self.spec.groups else [],
            "desired": sum(self._desired(group) for group in self.groups if group.spec.provider != LOCAL),
            "overtime": self.groups.queue.overtime if self.groups.queue is not None else [],
            "services": services,
            "workers": workers,
            "gone": gone(),  # the environment, where somebody has removed it
        }

    def _desired(self, group: Group) -> int:
        """Return how many workers of a group are wanted; whole allocations may have more."""
        if self.spec.storage_only or self.spec.scheduler is not None:
            return 0
        limits, spec = self.adaptive.limits.get(group.name), self.spec.group(group.name)
        return spec.workers if limits is None else min(len(group.workers), limits.maximum)

    def _limits(self, group: str) -> dict[str, int] | None:
        limits = self.adaptive.limits.get(group)
        return None if limits is None else {"minimum": limits.minimum, "maximum": limits.maximum}

    def _described(self, group: Group) -> dict[str, Any]:
        return {
            "name": group.name,
            "provider": group.spec.provider,
            "resources": resources_text(group.resources),
            "workers": len(group.workers),
            "adaptive": self._limits(group.name),
        }


def _wanted() -> str | None:
    """Return where the user's Dask configuration wants temporary files of workers, if anywhere."""
    wanted, remarks = temporary_directory()
    for remark in remarks:
        log(remark)
    return wanted


def _directory_in(scratch: str) -> tempfile.TemporaryDirectory[str]:
    """Return a directory for temporary files of workers: what Dask leaves there goes with the head."""
    try:
        os.makedirs(scratch, exist_ok=True)
        return temporary(scratch)
    except OSError as exc:
        raise translated(exc, scratch) from exc


def log(text: str) -> None:
    """Write a line to the head's log."""
    with contextlib.suppress(OSError):  # a disk may be full
        sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} offload head: {text}\n")
        sys.stderr.flush()
