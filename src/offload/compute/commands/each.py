"""Many commands at once: looked up in one batch, what is missing run in parallel, given back in order."""

from __future__ import annotations

import os
import time
from queue import Empty, SimpleQueue

from offload.compute.commands.outputs import deliver_stored
from offload.compute.commands.recall import planner_for
from offload.compute.commands.result import CommandRecord, fetch, load, secure
from offload.compute.commands.stage import Scratch
from offload.errors import BufferMissingError, OffloadError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from offload.compute.commands.execution import Execution, Running
    from offload.compute.commands.plan import Plan
    from offload.compute.commands.request import Request
    from offload.compute.commands.stage import Stager
    from offload.compute.commands.stdin import Stdin
    from offload.compute.session import Session
    from offload.storage.rows import Entry

# Recorded output is fetched for so many commands at a time, and new results are recorded in such batches.
AHEAD = 500
RECORD_EVERY = 0.5
TICK = 0.2


class Job:
    """One command among many, and what became of it.

    Attributes
    ----------
    plan : Plan
        What to run.
    state : str
        ``"waiting"``, then ``"recalled"``, ``"computed"``, ``"failed"`` or ``"cancelled"``.
    record : CommandRecord, optional
        Of a recalled one.
    execution : Execution, optional
        Of one that was run.
    error : OffloadError, optional
        Why a failed one could not be run to its end, where that is offload's own finding.
    unrecorded : str
        Why the result of a computed one is not recorded.
    strays : list of str
        What a computed one made or changed beside its outputs, as in `Computed`.
    uses : int
        How often it stands in the list.
    """

    __slots__ = ("entry", "error", "execution", "outcome", "plan", "record", "state", "strays", "unrecorded", "uses")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.state = "waiting"
        self.record: CommandRecord | None = None
        self.execution: Execution | None = None
        self.entry: Entry | None = None
        self.error: OffloadError | None = None
        self.unrecorded = ""
        self.outcome = ""
        self.strays: list[str] = []
        self.uses = 0


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
    workers : int
        How many run at once.
    fail_fast : bool
        Whether the first failure ends the others.

    Attributes
    ----------
    jobs : list of Job
        One per request; equal commands share one.
    counts : dict
        How many of the requests have come to each state.
    """

    def __init__(
        self, requests: Sequence[Request], session: Session, stdin: Stdin, workers: int, fail_fast: bool
    ) -> None:
        self._session = session
        self._workers = workers
        self._fail_fast = fail_fast
        self._planner = planner_for(session)
        unique: dict[str, Job] = {}
        self.jobs: list[Job] = []
        self.counts = dict.fromkeys(("recalled", "computed", "failed", "cancelled"), 0)
        for plan in self._planner.plan(requests, stdin):
            job = unique.setdefault(plan.transformation, Job(plan))
            job.uses += 1
            self.jobs.append(job)
        self._unique = list(unique.values())
        self._aside: Scratch | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._running: Running | None = None
        self._finished: SimpleQueue[tuple[Job, str]] = SimpleQueue()
        self._entries: list[Job] = []
        self._recorded = time.monotonic()
        self._failed = False
        self._stopped = False

    def look_up(self) -> None:
        """Find out which results are recorded."""
        wanted = [job for job in self._unique if not job.plan.request.fresh]
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
        try:
            missing = [job for job in self._unique if job.state == "waiting"]
            if missing:
                self._start(missing, say)
            fetched = 0
            for position, job in enumerate(self.jobs):
                if position >= fetched:
                    fetched = position + AHEAD
                    self._fetch(self.jobs[position:fetched])
                if job.record is not None and job.state == "recalled" and not secure(job.record, self._session.store):
                    self._run_again(job)
                while job.state == "waiting":
                    self._collect(tick)
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
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
            if self._aside is not None:
                self._aside.remove()

    def _fetch(self, jobs: Sequence[Job]) -> None:
        """Get the output of recalled commands, and bring back their files; what is lost has to be computed."""
        recalled = list({id(job): job for job in jobs if job.state == "recalled" and job.uses}.values())
        records = [job.record for job in recalled if job.record is not None]
        for job, record, whole in zip(recalled, records, fetch(records, self._session.store), strict=True):
            try:
                if whole and record.outputs:
                    deliver_stored(record.outputs, self._session.files, self._session.store)
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
        from concurrent.futures import ThreadPoolExecutor

        from offload.compute.commands.execution import Running
        from offload.compute.commands.single import check_before

        check_before([job.plan for job in jobs], self._session, say)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._workers)
            self._running = Running()
            self._aside = Scratch(self.jobs[0].plan.request.scratch)
            self._aside.file("")
        for job in jobs:
            self._pool.submit(self._compute, job)

    def _compute(self, job: Job) -> None:
        """Run one command, in a thread."""
        from offload.compute.commands.execution import execute_aside, prepare

        assert self._aside is not None
        assert self._running is not None
        scratch = Scratch(job.plan.request.scratch)
        state = "failed"
        try:
            if self._running.stopping:
                state = "cancelled"
                return
            stager = prepare(job.plan, scratch)
            place = self._aside.file(job.plan.transformation)
            job.execution = execute_aside(job.plan, scratch, self._running, place)
            if job.execution is None:
                state = "cancelled"
            elif job.execution.exit_code == 0:
                self._finish(job, job.execution, scratch, stager)
                state = "computed"
        except OffloadError as error:
            job.error = error
        except OSError as error:
            job.error = OffloadError(f"{error.filename or job.plan.request.argv[0]}: {error.strerror}")
        except Exception as error:
            job.error = OffloadError(f"internal error: {type(error).__name__}: {error}")
        finally:
            try:
                scratch.remove()
            finally:
                self._finished.put((job, state if job.error is None else "failed"))

    def _finish(self, job: Job, execution: Execution, scratch: Scratch, stager: Stager) -> None:
        from offload.compute.commands.outputs import deliver_found
        from offload.compute.commands.single import take_in

        computed = take_in(job.plan, self._planner, execution, self._session, scratch, stager)
        job.entry, job.unrecorded, job.strays = computed.entry, computed.unrecorded, computed.strays
        deliver_found(computed.found, self._session.files)

    def _collect(self, tick: Callable[[], None]) -> None:
        """Take in what has finished; record results in batches."""
        try:
            self._take(*self._finished.get(timeout=TICK))
            if self._failed and self._fail_fast and not self._stopped:
                self._stop()
        except Empty:
            pass
        if len(self._entries) >= AHEAD or time.monotonic() - self._recorded > RECORD_EVERY:
            self._record()
        tick()

    def _take(self, job: Job, state: str) -> None:
        """Only here, in the main thread, does a job that was started change its state."""
        self._set(job, state)
        self._failed = self._failed or state == "failed"
        if job.entry is not None:
            self._entries.append(job)

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
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.outcome = outcome
            job.entry = None

    def _stop(self) -> None:
        self._stopped = True
        if self._running is not None:
            self._running.stop()
        while True:
            try:
                self._take(*self._finished.get_nowait())
            except Empty:
                return


def _forget(job: Job) -> None:
    """Let go of output that has been given back."""
    job.record = None
    if job.execution is not None:
        for spool in (job.execution.stdout, job.execution.stderr):
            if spool.path is not None and os.path.exists(spool.path):
                os.unlink(spool.path)
