"""Many commands at once: looked up in one batch, what is missing run in parallel, given back in order."""

from __future__ import annotations

import os
import time

from offload.compute.commands.executor import Job
from offload.compute.commands.failures import note_failures
from offload.compute.commands.outputs import deliver_stored
from offload.compute.commands.recall import planner_for
from offload.compute.commands.result import fetch, load, secure
from offload.errors import BufferMissingError, OffloadError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from offload.compute.commands.executor import CommandExecutor
    from offload.compute.commands.failures import Failed
    from offload.compute.commands.request import Request
    from offload.compute.commands.stdin import Stdin
    from offload.compute.session import Session

# Recorded output is fetched for so many commands at a time, and new results are recorded in such batches.
AHEAD = 500
RECORD_EVERY = 0.5
TICK = 0.2


class ManyCommands:
    """Runs or recalls many commands.

    Parameters
    ----------
    requests : sequence of Request
        The commands.
    session : Session
        Where to look up and record.
    stdin : Stdin
        The standard input of each.
    executor : callable
        Gives what runs commands; called once there is something to run.
    fail_fast : bool
        Whether the first failure ends the others.
    retries : int
        How often a command that ran and failed is run again.

    Attributes
    ----------
    jobs : list of Job
        One per request; equal commands share one.
    counts : dict
        How many of the requests have come to each state.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        session: Session,
        stdin: Stdin,
        executor: Callable[[], CommandExecutor],
        fail_fast: bool = False,
        retries: int = 0,
    ) -> None:
        self._session = session
        self._make_executor = executor
        self._executor: CommandExecutor | None = None
        self._fail_fast = fail_fast
        self._retries = retries
        unique: dict[str, Job] = {}
        self.jobs: list[Job] = []
        self.counts = dict.fromkeys(("recalled", "computed", "failed", "cancelled"), 0)
        for plan in planner_for(session).plan(requests, stdin):
            job = unique.setdefault(plan.transformation, Job(plan))
            job.uses += 1
            self.jobs.append(job)
        self._unique = list(unique.values())
        self._entries: list[Job] = []
        self._recorded = time.monotonic()
        self._failed = False
        self._stopped = False
        self._say: Callable[[str], None] = lambda text: None

    def look_up(self) -> None:
        """Find out which results are recorded."""
        self._look_up([job for job in self._unique if not job.plan.request.fresh])

    def _look_up(self, wanted: Sequence[Job]) -> None:
        buffers = self._session.recall([job.plan.transformation for job in wanted])
        for job, record in zip(wanted, load(buffers, self._session.store), strict=True):
            if record is not None:
                job.record = record
                self._set(job, "recalled")

    def run(self, say: Callable[[str], None], tick: Callable[[], None]) -> Generator[Job, None, None]:
        """Yield the jobs in the order of the requests, as they are ready; run what is not recorded.

        Parameters
        ----------
        say : callable
            Tells the user what goes on.
        tick : callable
            Called a few times a second.
        """
        self._say = say
        try:
            missing = [job for job in self._unique if job.state == "waiting"]
            if missing:
                self._start(missing, say)
            fetched = 0
            for position, job in enumerate(self.jobs):
                if position >= fetched:
                    fetched = position + AHEAD
                    self._fetch(self.jobs[position:fetched])
                self._secure(job)
                while job.state == "waiting":
                    self._collect(tick)
                    self._secure(job)
                tick()
                yield job
                job.uses -= 1
                if not job.uses:
                    _forget(job)
            while any(job.state == "waiting" for job in self._unique):
                self._collect(tick)
            self._record()
        except BaseException:
            self._stop()
            self._record()
            raise
        finally:
            if self._executor is not None:
                self._executor.close()

    def _secure(self, job: Job) -> None:
        if job.record is not None and job.state == "recalled" and not secure(job.record, self._session.store):
            self._run_again(job)

    def _fetch(self, jobs: Sequence[Job]) -> None:
        """Get the output of recalled commands, and bring back their files; what is lost has to be computed."""
        recalled = list({id(job): job for job in jobs if job.state == "recalled" and job.uses}.values())
        records = [job.record for job in recalled if job.record is not None]
        for job, record, whole in zip(recalled, records, fetch(records, self._session.store), strict=True):
            try:
                if whole and record.outputs:
                    newest = job.plan.newest()
                    deliver_stored(record.outputs, self._session.files, self._session.store, newest)
            except BufferMissingError:
                whole = False
            except OffloadError as error:
                job.error = error
                self._set(job, "failed")
                continue
            if not whole:
                self._run_again(job)

    def _run_again(self, job: Job) -> None:
        """Run a command whose recorded result is not stored any more."""
        job.record = None
        self._set(job, "waiting")
        self._start([job], lambda text: None)

    def _start(self, jobs: Sequence[Job], say: Callable[[str], None]) -> None:
        from offload.compute.commands.single import check_before

        check_before([job.plan for job in jobs], self._session, say)
        for job in jobs:
            job.tries += 1
        if self._executor is None:
            self._executor = self._make_executor()
        self._executor.start(jobs, say)

    def _collect(self, tick: Callable[[], None]) -> None:
        """Take in what has finished; record results in batches."""
        assert self._executor is not None
        self._take(self._executor.finished(TICK))
        if self._failed and self._fail_fast and not self._stopped:
            self._stop()
        if len(self._entries) >= AHEAD or time.monotonic() - self._recorded > RECORD_EVERY:
            self._record()
        tick()

    def _take(self, finished: Sequence[tuple[Job, str]]) -> None:
        """Only here, in the main thread, does a job that was started change its state."""
        recorded: list[Job] = []
        failed: list[Failed] = []
        again: list[Job] = []
        for job, state in finished:
            if state == "recalled":
                recorded.append(job)
                continue
            if state == "failed":
                failed.append((job.plan, job.execution, job.error, None))
                if job.execution is not None and job.tries <= self._retries and not self._stopped:
                    again.append(job)
                    continue
                self._failed = True
            self._set(job, state)
            if job.entry is not None:
                self._entries.append(job)
        note_failures(failed, self._session, self._say)
        for job in again:
            job.again()
        if again:
            self._start(again, self._say)
        if recorded:
            self._look_up(recorded)
            for job in recorded:
                if job.state == "waiting":
                    job.error = OffloadError("its result is recorded, but not stored any more", "offload run --fresh")
                    self._set(job, "failed")
            self._fetch(recorded)

    def _set(self, job: Job, state: str) -> None:
        for name, change in ((job.state, -job.uses), (state, job.uses)):
            if name in self.counts:
                self.counts[name] += change
        job.state = state

    def _record(self) -> None:
        jobs, self._entries = self._entries, []
        self._recorded = time.monotonic()
        if not jobs:
            return
        try:
            outcomes = self._session.record([job.entry for job in jobs if job.entry is not None])
        except StorageError as error:
            for job in jobs:
                job.unrecorded = error.message
            return
        finally:
            for job in jobs:
                job.let_go()
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.outcome = outcome
            job.entry = None

    def _stop(self) -> None:
        self._stopped = True
        if self._executor is not None:
            self._executor.stop()
            self._take(self._executor.finished(0))


def _forget(job: Job) -> None:
    """Let go of output that has been given back."""
    job.record = None
    if job.execution is not None:
        for spool in (job.execution.stdout, job.execution.stderr):
            if spool.path is not None and os.path.exists(spool.path):
                os.unlink(spool.path)
