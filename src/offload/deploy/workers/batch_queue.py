"""Workers that are jobs of a batch system: submitted, looked at together, replaced when they are lost, cancelled."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from offload.batch.base import BatchAwayError, BatchSystem
from offload.batch.request import JobRequest
from offload.batch.state import UNKNOWN, JobState, Phase
from offload.deploy.workers.allocation import FIRST_PAUSE, Allocation
from offload.deploy.workers.submission import Submitting
from offload.errors import OffloadError
from offload.registry.deployments import Place
from offload.util.files import write_whole
from offload.util.processes import last_words

SOON, LATER = 2.0, 15.0
"""Seconds between two looks at the jobs: while something is about to happen, and otherwise."""

LONGEST_PAUSE, CALM = 120.0, 300.0
FIND_PAUSE = 1.0  # seconds between two looks for a job that is to go and may not be there yet
KNOWN_AFTER = 10.0  # seconds after which a batch system knows a job that it has taken

Log = Callable[[str], None]


class Queue:
    """All jobs of a deployment that are workers; one request to the batch system tells of all.

    Parameters
    ----------
    place : Place
        The deployment's; it keeps which jobs there are, for a head that comes back.
    system : BatchSystem
        Theirs.
    request : callable
        Gives the request for a worker of a name, with its log.
    say : callable
        Gets lines for the head's log.

    Attributes
    ----------
    away : str
        Why the batch system cannot be asked now; "" where it can.
    expiring : callable
        Gets the name of a job that is to be replaced: its time is nearly over, or it has lost one of its workers.
    connected : callable
        Gives the names of the workers that the scheduler knows.
    longest : callable
        Gives how many seconds the longest task took lately, by groups of workers.
    walltimes : callable
        Gets when the walltime of workers is over that end soon, and how long it is; gives what was lost with that.
    overtime : list
        Of what was lost so and is to run again: how many seconds it ran, and the walltime of its worker.
    """

    def __init__(self, place: Place, system: BatchSystem, request: Callable[[str], JobRequest], say: Log) -> None:
        self._place = place
        self._system = system
        self._request = request
        self._say = say
        self._submitting = Submitting(system, request, self._taken, self._fail)
        self._jobs: dict[str, Allocation] = {}
        self._going: list[str] = []
        self._stir = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.away = ""
        self.expiring: Callable[[str], None] = lambda name: None
        self.connected: Callable[[], Awaitable[Collection[str]]] = _nobody
        self.longest: Callable[[], Awaitable[dict[str, float]]] = _nothing
        self.walltimes: Callable[[dict[str, list[float]]], Awaitable[list[list[float]]]] = _none_lost
        self.overtime: list[list[float]] = []

    # What there was before this head

    def adopt(self) -> list[Allocation]:
        """Return the jobs that an earlier head has left, where they still wait or run."""
        kept = read_jobs(self._place)
        found = []
        for name, one in kept.items():
            job = self.make(name)
            job.id, job.submitted, job.wanted = one["id"], one["submitted"], True
            job.state = JobState(Phase.PENDING, reason="")
            self._jobs[name] = job
            found.append(job)
        return found

    def make(self, name: str) -> Allocation:
        """Return a new worker, which is not wanted yet."""
        request = self._request(name)
        return Allocation(name, self, request.log or self._place.log(name), request.nodes)

    def add(self, job: Allocation) -> None:
        """Have a job submitted soon."""
        self._jobs[job.name] = job
        self._wake()

    async def drop(self, job: Allocation) -> None:
        """Have a job cancelled, and forget it."""
        self._jobs.pop(job.name, None)
        if job.unsure:
            try:
                while job.unsure:
                    await self._submitting.find([job])
                    await asyncio.sleep(FIND_PAUSE if job.unsure else 0)
            except OffloadError as exc:  # `down` looks once more for all that bear the deployment's name
                self._say(f"whether {job.name} was submitted is not known: {exc.message}")
        if job.id is None or job.state.is_over:
            return
        self._going.append(job.id)
        await asyncio.sleep(0)  # those that go together are cancelled together
        going, self._going = self._going, []
        if going:
            await self._cancel(going)
        self._keep()

    async def _cancel(self, jobs: list[str]) -> None:
        try:
            await asyncio.to_thread(self._system.cancel, jobs)
        except BatchAwayError as exc:
            self._say(f"jobs {', '.join(jobs)} could not be cancelled: {exc.message}; trying again")
            self._going += jobs

    def _wake(self) -> None:
        self._stir.set()
        if self._task is None:
            self._task = asyncio.create_task(self._look_after(), name="queue")

    async def close(self) -> None:
        """Stop looking."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._going:
            await self._cancel(self._going)

    # Looking after them

    async def _look_after(self) -> None:
        while True:
            self._stir.clear()
            try:
                await self._submit_all()
                await self._look()
                await self._look_at_walltimes()
                await self._look_within()
                if self._going:
                    going, self._going = self._going, []
                    await self._cancel(going)
                self._told("")
            except OffloadError as exc:  # whatever it is, the jobs are there still, and are to be looked after
                self._told(exc.message)
            try:
                await asyncio.wait_for(self._stir.wait(), SOON if self._is_busy() else LATER)
            except TimeoutError:
                continue
            await asyncio.sleep(0.05)  # others that come at the same time go with it

    def _told(self, trouble: str) -> None:
        if trouble != self.away:
            self._say(trouble or f"{self._system.title} answers again")
        self.away = trouble

    def _is_busy(self) -> bool:
        """Tell whether anything will happen soon: a job has just been submitted, or is to be."""
        now = time.time()
        return any(
            job.id is None
            or (job.waits and now - job.submitted < 60.0)
            or job.is_coming(now)
            or job.torn_since is not None
            or job.remaining() < 2 * LATER
            for job in self._jobs.values()
        )

    async def _submit_all(self) -> None:
        now = time.time()
        due = [job for job in self._jobs.values() if job.id is None and job.wanted and now >= job.again_at]
        await self._submitting.submit(due)

    def _taken(self, jobs: Sequence[Allocation]) -> None:
        if not jobs:
            return
        for job in jobs:
            job.begin(time.time())
            assert job.id is not None
            if not job.wanted:  # it has been ended meanwhile
                self._going.append(job.id)
        first, last, more = jobs[0], jobs[-1], ""
        if len(jobs) > 1:
            more = f", and so on: {len(jobs)} at once, the last one {last.name}"
        self._say(f"{first.name} is job {first.id} of {self._system.title}{more}")
        self._keep()

    async def _look(self) -> None:
        asked = {job.id: job for job in self._jobs.values() if job.id is not None}
        if not asked:
            return
        found = await asyncio.to_thread(self._system.query, list(asked))
        for number, job in asked.items():
            state = found.get(number, UNKNOWN)
            if state.phase is Phase.UNKNOWN and time.time() - job.submitted < KNOWN_AFTER:
                continue
            if state.is_over:
                self._lost(job, state)
                continue
            job.see(state, self._system.hosts(state.nodes))

    async def _look_at_walltimes(self) -> None:
        """Have jobs replaced that end soon: as long before as the longest task lately took, or a part of their time."""
        soon = [job for job in self._jobs.values() if job.remaining() < job.whole() / 2]
        if not soon and not self.overtime:
            return
        ends = {name: [job.state.finish or 0.0, job.whole()] for job in soon for name in job.names}
        longest: dict[str, float] = {}
        try:
            longest = await self.longest()
            self.overtime = await self.walltimes(ends)
        except (OSError, TimeoutError):
            pass  # the scheduler is being started again, and knows of no tasks
        for job in soon:
            if job.remaining() < job.margin(longest.get(job.name.rpartition("-")[0], 0.0)):
                self.expiring(job.name)

    async def _look_within(self) -> None:
        """Have allocations replaced that have lost some of their workers; the others finish what they do."""
        running = [job for job in self._jobs.values() if len(job.names) > 1 and not job.waits]
        if not running:
            return
        try:
            connected = set(await self.connected())
        except (OSError, TimeoutError):
            return  # the scheduler is being started again: nothing is known of any
        for job in running:
            if lost := job.lacks(connected, time.time()):
                self._say(f"job {job.id} has lost {', '.join(lost)}; another one takes its place")
                self.expiring(job.name)

    def _lost(self, job: Allocation, state: JobState) -> None:
        """Take note of a job that has ended although it is wanted: it is submitted again."""
        how = str(state.end) if state.end is not None else state.word.lower() or "gone"
        said = last_words(job.log)
        ran = job.state.phase is Phase.RUNNING and time.time() - (job.state.start or job.submitted) > CALM
        reason = f"job {job.id} {how}{': ' + state.reason if state.reason not in ('', 'None') else ''}"
        if not ran and said:
            reason += f"; its log ends with: {said}"
        job.id = None
        if not job.wanted:
            return
        if ran:
            job.pause = FIRST_PAUSE
        self._fail(job, reason)

    def _fail(self, job: Allocation, reason: str) -> None:
        job.restarts += 1
        job.trouble = reason
        job.state = JobState(Phase.PENDING, reason=reason)
        job.again_at = time.time() + job.pause
        self._say(f"{job.name}: {reason}; submitting it again in {job.pause:g} s")
        job.pause = min(2 * job.pause, LONGEST_PAUSE)
        self._keep()

    def _keep(self) -> None:
        kept = {
            name: {"id": job.id, "submitted": job.submitted} for name, job in self._jobs.items() if job.id is not None
        }
        write_whole(_path(self._place), json.dumps({"system": self._system.name, "jobs": kept}))


async def _nobody() -> Collection[str]:
    return ()


async def _nothing() -> dict[str, float]:
    return {}


async def _none_lost(ends: dict[str, list[float]]) -> list[list[float]]:
    return []


def _path(place: Place) -> str:
    return os.path.join(place.path, "workers.json")


def read_jobs(place: Place) -> dict[str, Any]:
    """Return the jobs of a deployment that are workers, by name, as a head has kept them."""
    try:
        with open(_path(place), encoding="utf-8") as file:
            jobs: dict[str, Any] = json.load(file)["jobs"]
            return jobs
    except FileNotFoundError:
        return {}
