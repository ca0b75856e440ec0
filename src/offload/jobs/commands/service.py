"""Commands as jobs: which there are, how each goes on, and what has become of it.

Everything here runs in one event loop, so nothing changes between two ``await``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence

from offload.errors import OffloadError, StorageError, WorkerLostError
from offload.http.log import log
from offload.jobs.commands.carrier import Carrier
from offload.jobs.commands.dispatch import FAILED, GONE, LOST, REFUSED, RETURNED, UNSEEN, Flights
from offload.jobs.commands.job import Job
from offload.jobs.commands.journal import Ledger
from offload.jobs.commands.output import SpoolGapError, Spools, TooMuchOutputError
from offload.jobs.commands.overview import infos
from offload.jobs.commands.protocol import (
    ENDED,
    RUNNING,
    WAITING,
    Begin,
    Begun,
    JobInfo,
    Leave,
    Outcome,
    Report,
)
from offload.jobs.commands.recorded import recalled
from offload.registry.session import Session
from offload.util.resources import UNMET, Resources, UnmetError

IN_FLIGHT = 1000
"""So many jobs that need the same resources are with Dask at the same time: it keeps some kilobytes for each."""

ATTEMPTS = 3
"""So many workers may end under a job before it is given up."""

SILENCE, ADOPTION = 60.0, 20.0
"""Seconds after which a worker that says nothing counts as lost: where Dask watches over it, and where nobody does."""

TICK, LATE = 1.0, 5.0
SWEEP_EVERY = 100
AGAIN = "its worker ended; running again"


class CommandService:
    """Runs the commands that clients submit.

    Parameters
    ----------
    session : Session
        Where results are recorded.
    ledger, spools
        Keep the jobs and their output.
    start : callable
        Starts what brings jobs to workers.
    """

    def __init__(self, session: Session, ledger: Ledger, spools: Spools, start: Callable[[], Carrier]) -> None:
        self.session = session
        self.spools = spools
        self.ledger = ledger
        self.jobs: dict[int, Job] = {}
        self.by_transformation: dict[str, Job] = {}
        self.flights = Flights(start, self._landed_in_thread)
        self._queues: defaultdict[Resources, deque[Job]] = defaultdict(deque)
        self._in_flight: Counter[Resources] = Counter()
        self._lookups: list[set[str]] = []
        self._swept = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on with what is on disk: what waited is given to workers, what ran is waited for."""
        self._loop = asyncio.get_running_loop()
        for job in self.ledger.under_way():
            self.jobs[job.id] = self.by_transformation[job.transformation] = job
            if job.state == WAITING:
                self._queues[job.resources].append(job)
            else:
                job.note = "the job service was started anew; waiting for word from the worker"
        self._watch = asyncio.create_task(self._watch_over())
        self._launch()

    async def stop(self) -> None:
        """Let go of everything. Jobs stay on disk, and those that run go on."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await asyncio.to_thread(self.flights.close)
        self.ledger.close()

    # What clients ask for

    def looking_up(self) -> set[str]:
        """Return a set that gets what is recorded from now on, until it is given to `looked_up`."""
        self._lookups.append(set())
        return self._lookups[-1]

    def looked_up(self, meanwhile: set[str]) -> None:
        """Let go of a set of `looking_up`."""
        self._lookups = [other for other in self._lookups if other is not meanwhile]

    def add(self, jobs: Sequence[Job]) -> None:
        """Take on new jobs, whose commands are not under way."""
        self.ledger.add(jobs)
        for job in jobs:
            self.jobs[job.id] = self.by_transformation[job.transformation] = job
            self._queues[job.resources].append(job)
        self._launch()

    def join(self, job: Job, client: str, detach: bool = False) -> None:
        """Have one more client wait for a job."""
        if client not in job.clients or detach > job.detached:
            job.clients.add(client)
            job.detached = job.detached or detach
            self.ledger.save(job)

    def leave(self, leave: Leave) -> None:
        """Have a client wait no longer; what nobody else waits for is cancelled."""
        for number in leave.jobs:
            job = self.jobs.get(number)
            if job is None or leave.client not in job.clients:
                continue
            job.clients.remove(leave.client)
            if job.is_wanted:
                self.ledger.save(job)
            else:
                self._cancel(job)

    def let_go(self, job: Job, client: str) -> None:
        """Keep what a cancelled command has written no longer than for those who have waited for it."""
        if client in job.clients:
            job.clients.remove(client)
            self.ledger.save(job)
        if not job.clients:
            self.spools.remove(job.id)

    def cancel(self, numbers: Sequence[int] | None) -> list[JobInfo]:
        """Cancel jobs, or all; return how they are now."""
        chosen = list(self.jobs) if numbers is None else list(dict.fromkeys(numbers))
        under_way = [self.jobs[number] for number in chosen if number in self.jobs]
        for job in under_way:
            self._cancel(job)
        known = {job.id: job for job in under_way} | self.ledger.get([n for n in chosen if n not in self.jobs])
        return infos(self, [known[number] for number in chosen if number in known])

    def _cancel(self, job: Job) -> None:
        job.cancelled = True
        if job.state == WAITING:
            self._end(job, Outcome(cancelled=True))
        else:
            self.ledger.save(job)
            job.wake()

    # What workers say

    async def recall(self, number: int) -> None:
        """End a job that waits, if its command has been recorded meanwhile: by somebody else, without this service."""
        job = self.jobs.get(number)
        if job is None or job.state != WAITING or self.session.database.lookup([job.transformation])[0] is None:
            return
        outcome = await asyncio.to_thread(recalled, self.session, self.spools, job)
        if outcome is not None and self.jobs.get(number) is job and job.state == WAITING:
            self._end(job, outcome)

    def begin(self, begin: Begin) -> Begun | None:
        """Have a worker run a job, unless it is not to be run any more."""
        job = self.jobs.get(begin.job)
        if job is None or job.ending is not None:
            return None
        who = begin.worker, begin.host, begin.pid
        if job.state == RUNNING and job.begun_by != who:
            self._lose(job)
        if job.state == ENDED:
            return None
        if job.cancelled:
            self._end(job, Outcome(cancelled=True))
            return None
        if job.state == WAITING:  # else its answer was lost: it asks again
            job.state, job.started, job.begun_by = RUNNING, time.time(), who
            job.attempt += 1
            job.excused = False
            job.worker = begin.worker if begin.host == os.uname().nodename else f"{begin.worker} on {begin.host}"
            self.spools.remove(job.id)
            self.ledger.save(job)
        job.heard = time.monotonic()
        job.wake()
        return Begun(job.attempt, job.plan, job.directory, job.path)

    async def report(self, report: Report) -> bool:
        """Take in what a worker says of a job; return whether it is to go on."""
        job = self.jobs.get(report.job)
        if job is None or job.attempt != report.attempt or job.state != RUNNING:
            return False
        job.heard, job.begun_by = time.monotonic(), None
        if job.ending is not None:  # said twice
            await asyncio.shield(job.ending)
            return True
        if report.given_up:
            job.excused = True
            self._lose(job, "its worker was told to end; running again elsewhere")
            return False
        try:
            self.spools.write(job.id, 0, report.stdout_at, report.stdout)
            self.spools.write(job.id, 1, report.stderr_at, report.stderr)
        except SpoolGapError:
            self._lose(job, "its output was lost; running again")
            return False
        except StorageError as exc:
            self._end(job, Outcome(error=exc))
            return False
        except TooMuchOutputError as exc:
            self._end(job, Outcome(error=OffloadError(exc.message, exc.hint)))
            self.spools.remove(job.id)
            return False
        if job.lost == 0 and not job.cancelled:
            job.note = ""
        if report.outcome is not None and isinstance(report.outcome.error, WorkerLostError):
            self._lose(job, "the process that had started it was killed; running again")
            job.excused = True  # its flight has nothing more to tell
            return False
        if report.outcome is not None:
            job.ending = asyncio.create_task(self._take_in(job, report.outcome))
            await asyncio.shield(job.ending)
            return True
        job.wake()
        return not job.cancelled

    async def _take_in(self, job: Job, outcome: Outcome) -> None:
        entry, outcome.entry = outcome.entry, None
        try:
            if entry is not None:
                try:
                    outcome.outcome = (await asyncio.to_thread(self.session.record, [entry]))[0]
                except StorageError as exc:
                    outcome.unrecorded, outcome.error = exc.message, exc
            self._end(job, outcome)
        except BaseException:
            job.ending = None  # the worker hears of it, and reports again
            raise

    # How jobs go on

    def _launch(self) -> None:
        for resources, queue in self._queues.items():
            while queue and self._in_flight[resources] < IN_FLIGHT:
                job = queue.popleft()
                if job.state == WAITING and not job.flying:
                    job.flying = True
                    self._in_flight[resources] += 1
                    self.flights.launch(job.id, resources)

    def _land(self, job: Job) -> None:
        if job.flying:
            job.flying = False
            self._in_flight[job.resources] -= 1

    def _landed_in_thread(self, number: int, how: str, said: str) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._landed, number, how, said)

    def _landed(self, number: int, how: str, said: str) -> None:
        job = self.jobs.get(number)
        if job is None or job.ending is not None:
            return
        self._land(job)
        if how == REFUSED:
            self._end(job, Outcome(error=UnmetError(said, UNMET)))
        elif how == UNSEEN:
            job.note = said
            self._again(job)
        elif how == FAILED:
            self._end(job, Outcome(error=OffloadError(f"the worker could not run it: {said}", "offload logs")))
        elif how == LOST:
            self._lose(job)
        elif job.state == WAITING:
            if how == RETURNED and not job.excused:
                job.note = "a worker could not reach the job service"
            self._again(job)
        elif how == GONE:
            # Its worker ends too, and will say so, or nothing.
            job.excused, job.heard = True, time.monotonic()
            job.note = "the scheduler went away"
            job.wake()
        else:
            self._lose(job, "its worker could not reach the job service; running again")
        self._launch()

    def _lose(self, job: Job, note: str = AGAIN) -> None:
        """Take back a job whose attempt has come to nothing."""
        name = job.worker.partition(" on ")[0]
        why = self.flights.death_of(name)
        job.state, job.begun_by, job.note = WAITING, None, f"{why}; running again" if why and note == AGAIN else note
        if not job.excused:
            job.lost += 1
        if job.cancelled:
            self._end(job, Outcome(cancelled=True))
        elif job.lost >= ATTEMPTS:
            cause = why or "maybe it takes more memory than there is, or ends other processes than its own"
            what = f"its worker was lost {job.lost} times: {cause}"
            self._end(job, Outcome(error=WorkerLostError(what, f"offload logs --worker {name}")))
        else:
            self._again(job)
            self.ledger.save(job)

    def _again(self, job: Job) -> None:
        if not job.flying:
            self._queues[job.resources].appendleft(job)
            self._launch()
        job.wake()

    def _end(self, job: Job, outcome: Outcome) -> None:
        before, job.state, job.ended, job.outcome = job.state, ENDED, time.time(), outcome
        try:
            self.ledger.save(job)
        except StorageError:
            job.state, job.ended, job.outcome = before, None, None
            raise
        del self.jobs[job.id]
        del self.by_transformation[job.transformation]
        if outcome.cancelled and not job.clients:
            self.spools.remove(job.id)
        if outcome.outcome:
            for meanwhile in self._lookups:
                meanwhile.add(job.transformation)
        if job.flying:
            self._land(job)
            self.flights.drop(job.id)
        job.wake()
        self._swept += 1
        if self._swept % SWEEP_EVERY == 0:
            for number in self.ledger.sweep():
                self.spools.remove(number)
        self._launch()

    async def _watch_over(self) -> None:
        """Take back jobs of which nothing is heard any more."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            now, before = time.monotonic(), looked
            looked = now
            running = [job for job in self.jobs.values() if job.state == RUNNING and job.ending is None]
            for job in running:
                if now - before > LATE:  # it was this process that was stopped
                    job.heard = now
                elif now - job.heard > (SILENCE if job.flying else ADOPTION):
                    self._give_up_on(job, now - job.heard)

    def _give_up_on(self, job: Job, silent: float) -> None:
        if job.flying:
            self._land(job)
            self.flights.drop(job.id)
        try:
            self._lose(job, f"nothing was heard of its worker for {silent:.0f} s; running again")
        except StorageError as exc:
            log(f"job {job.id}: {exc.message}")
