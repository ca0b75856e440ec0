"""Commands as jobs: which there are, how each goes on, and what has become of it.

Everything here runs in one event loop, so nothing changes between two ``await``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from offload.errors import OffloadError, StorageError, WorkerLostError
from offload.http.log import log
from offload.jobs.commands import overview
from offload.jobs.commands.carrier import Carrier
from offload.jobs.commands.dispatch import FAILED, GONE, LOST, REFUSED, RETURNED, UNSEEN, Flights
from offload.jobs.commands.groups import MOST_KINDS, Kind
from offload.jobs.commands.job import Company, Job
from offload.jobs.commands.journal import Ledger
from offload.jobs.commands.output import SpoolGapError, Spools, TooMuchOutputError
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
LOOK_AGAIN = 0.2
"""Seconds after which it is looked again whether commands that are held back are to go."""
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
        self._kinds: dict[tuple[Resources, str, str], Kind] = {}
        self._hearing = False
        self._looking = False  # whether it will be looked soon whether what is held back is to go
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
                self._kind(job).waiting.append(job)
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
            self._kind(job).waiting.append(job)
        self._launch()

    def _kind(self, job: Job) -> Kind:
        kind = self._kinds.get(job.kind)
        if kind is None:
            if len(self._kinds) >= MOST_KINDS:
                self._kinds = {key: one for key, one in self._kinds.items() if one.waiting or one.flying}
            kind = self._kinds[job.kind] = Kind()
        return kind

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
        return self._infos(known[number] for number in chosen if number in known)

    def listed(self, ended: bool) -> list[JobInfo]:
        """Return the jobs under way, after those that have ended where these are asked for, too."""
        return self._infos([*(self.ledger.ended() if ended else ()), *self.jobs.values()])

    def _infos(self, jobs: Iterable[Job]) -> list[JobInfo]:
        reasons = overview.reasons(self.jobs.values(), self.flights)
        return [job.info(reasons.get(job.id, "")) for job in jobs]

    def _cancel(self, job: Job) -> None:
        job.cancelled = True
        if job.state == WAITING:
            self._end(job, Outcome(cancelled=True))
        else:
            self.ledger.save(job)
            job.wake()

    # What workers say

    async def recall(self, numbers: Sequence[int]) -> None:
        """End jobs that wait, if their commands have been recorded meanwhile: by others, without this service."""
        waiting = [job for number in numbers if (job := self.jobs.get(number)) is not None and job.state == WAITING]
        found = self.session.database.lookup([job.transformation for job in waiting]) if waiting else []
        for job, result in zip(waiting, found, strict=True):
            outcome = None
            if result is not None:
                outcome = await asyncio.to_thread(recalled, self.session, self.spools, job)
            if outcome is not None and self.jobs.get(job.id) is job and job.state == WAITING:
                self._end(job, outcome)

    def begin(self, begin: Begin) -> list[Begun]:
        """Have a worker run jobs, but for those that are not to be run any more."""
        begun = [job for number in begin.jobs if (job := self._beginning(number, begin)) is not None]
        new = [job for job in begun if job.state == WAITING]  # else the answer was lost: it asks again
        for job in new:
            job.state, job.started, job.begun_by = RUNNING, time.time(), (begin.worker, begin.host, begin.pid)
            job.attempt += 1
            job.excused = False
            job.worker = begin.worker if begin.host == os.uname().nodename else f"{begin.worker} on {begin.host}"
            self.spools.remove(job.id)
        if new:
            self.ledger.save(*new)
        for job in begun:
            job.heard = time.monotonic()
            job.wake()
        return [Begun(job.id, job.attempt, job.plan, job.directory, job.path) for job in begun]

    def _beginning(self, number: int, begin: Begin) -> Job | None:
        """Return a job that a worker is to run; None where it is not to."""
        job = self.jobs.get(number)
        if job is None or job.ending is not None:
            return None
        if job.state == RUNNING and job.begun_by != (begin.worker, begin.host, begin.pid):
            self._lose(job)
        if job.state == ENDED:
            return None
        if job.cancelled:
            self._end(job, Outcome(cancelled=True))
            return None
        if len(begin.jobs) > 1 and job.goes_alone:
            self._leave_flight(job)
            self._again(job)
            return None
        return job

    async def report(self, reports: Sequence[Report]) -> list[bool]:
        """Take in what a worker says of jobs; return for each whether it is to go on."""
        self._hearing = True  # what is to go on elsewhere goes together
        try:
            answers, endings = self._hear_all(reports)
        finally:
            self._hearing = False
            self._launch()
        for ending in endings:
            await asyncio.shield(ending)
        return answers

    def _hear_all(self, reports: Sequence[Report]) -> tuple[list[bool], list[asyncio.Task[None]]]:
        """Take in reports; return the answers to them, and what takes in the outcomes in them."""
        answers: list[bool] = []
        endings: dict[int, asyncio.Task[None]] = {}
        ended: list[tuple[Job, Outcome]] = []
        for report in reports:
            job = self.jobs.get(report.job)
            if job is None or job.attempt != report.attempt or job.state != RUNNING:
                answers.append(False)
                continue
            job.heard, job.begun_by = time.monotonic(), None
            if job.ending is not None:  # said twice
                endings[id(job.ending)] = job.ending
                answers.append(True)
                continue
            answers.append(self._hear(job, report))
            if answers[-1] and report.outcome is not None:
                ended.append((job, report.outcome))
        if ended:
            ending = asyncio.create_task(self._take_in(ended))
            for job, _ in ended:
                job.ending = ending
            endings[id(ending)] = ending
        return answers, list(endings.values())

    def _hear(self, job: Job, report: Report) -> bool:
        """Take in what a worker says of a job, but for its outcome; return whether it is to go on."""
        if report.given_back:
            job.excused = True
            self._leave_flight(job)
            self._kind(job).wait_long()
            self._lose(job, "")
            return False
        if report.given_up:
            job.excused = job.alone = True
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
        if job.lost == 0 and not job.doubts and not job.cancelled:
            job.note = ""
        if report.outcome is not None and isinstance(report.outcome.error, WorkerLostError):
            job.company = job.company.without(job.id)  # it is known to be this one's
            self._lose(job, "the process that had started it was killed; running again")
            job.excused = True  # its flight has nothing more to tell
            return False
        if report.outcome is not None:
            return True
        job.wake()
        return not job.cancelled

    async def _take_in(self, ended: Sequence[tuple[Job, Outcome]]) -> None:
        """Record what jobs have given, all at once, and end them."""
        entries = [(outcome, outcome.entry) for _, outcome in ended if outcome.entry is not None]
        # Workers may have had other programs than clients knew of: then other commands have been recorded, or recalled.
        others = {
            job.id
            for job, outcome in ended
            if outcome.outcome or (outcome.entry is not None and outcome.entry.transformation != job.transformation)
        }
        for outcome, _ in entries:
            outcome.entry = None
        try:
            if entries:
                try:
                    said = await asyncio.to_thread(self.session.record, [entry for _, entry in entries])
                    for (outcome, _), one in zip(entries, said, strict=True):
                        outcome.outcome = one
                except StorageError as exc:
                    for outcome, _ in entries:
                        outcome.unrecorded, outcome.error = exc.message, exc
            self._end_all(ended, others)
        except BaseException:
            for outcome, entry in entries:
                outcome.entry = entry
            for job, _ in ended:
                job.ending = None  # the worker hears of it, and reports again
            raise

    # How jobs go on

    def _launch(self) -> None:
        if self._hearing:
            return
        held = False
        for (resources, _, _), kind in self._kinds.items():
            while kind.waiting and (room := IN_FLIGHT - self._in_flight[resources]) > 0:
                if kind.is_held(self.flights.workers):
                    held = True
                    break
                group = kind.take(self.flights.workers, room)
                if not group:
                    continue
                company = Company({job.id for job in group})
                for job in group:
                    job.flying, job.company = True, company
                self._in_flight[resources] += len(group)
                self.flights.launch([job.id for job in group], resources)
        if held and not self._looking and self._loop is not None:
            self._looking = True
            self._loop.call_later(LOOK_AGAIN, self._look_again)

    def _look_again(self) -> None:
        self._looking = False
        self._launch()

    def _land(self, job: Job) -> None:
        if job.flying:
            job.flying = False
            self._in_flight[job.resources] -= 1
            kind, members = self._kind(job), job.company.landing
            members.discard(job.id)
            if not members:
                kind.flying -= 1

    def _leave_flight(self, job: Job) -> None:
        """Have a job fly no longer; those that it flies with go on."""
        if job.flying:
            self._land(job)
            self.flights.drop(job.id)
        job.company.members.discard(job.id)

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
        if not job.excused and job.company.is_shared:
            job.company.broken = True
            job.doubts = 1
        elif not job.excused:
            job.lost, job.doubts = job.lost + 1 + job.doubts, 0
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
            self._kind(job).waiting.appendleft(job)
            self._launch()
        job.wake()

    def _end(self, job: Job, outcome: Outcome) -> None:
        self._end_all([(job, outcome)])

    def _end_all(self, ended: Sequence[tuple[Job, Outcome]], others: Collection[int] = ()) -> None:
        before = [job.state for job, _ in ended]
        for job, outcome in ended:
            job.state, job.ended, job.outcome = ENDED, time.time(), outcome
        try:
            self.ledger.save(*(job for job, _ in ended))
        except StorageError:
            for (job, _), state in zip(ended, before, strict=True):
                job.state, job.ended, job.outcome = state, None, None
            raise
        for job, outcome in ended:
            self._let_end(job, outcome, job.id not in others)
        self._launch()

    def _let_end(self, job: Job, outcome: Outcome, as_asked: bool) -> None:
        """Let go of a job that has ended."""
        del self.jobs[job.id]
        del self.by_transformation[job.transformation]
        if outcome.exit_code is not None:
            self._kind(job).learn(outcome.seconds)
        if outcome.cancelled and not job.clients:
            self.spools.remove(job.id)
        if outcome.outcome and as_asked:
            for meanwhile in self._lookups:
                meanwhile.add(job.transformation)
        self._leave_flight(job)
        job.wake()
        self._swept += 1
        if self._swept % SWEEP_EVERY == 0:
            for number in self.ledger.sweep():
                self.spools.remove(number)

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
