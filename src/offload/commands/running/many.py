"""Many commands at once: looked up in one batch, what is missing run in parallel, given back in order."""

from __future__ import annotations

import os
import time
from collections import deque
from itertools import islice

from offload.commands.failures import note_failures
from offload.commands.planning.inputs import check_input
from offload.commands.recall import planner_for
from offload.commands.result import fetch, load, secure
from offload.commands.running.executor import Job
from offload.errors import BufferMissingError, OffloadError, StorageError
from offload.storage.delivery import check_places, deliver_stored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from typing import Protocol

    from offload.commands.failures import Failed
    from offload.commands.planning.stdin import Stdin
    from offload.commands.request import Request
    from offload.commands.running.executor import CommandExecutor
    from offload.registry.session import Session

    class Requests(Protocol):
        """Requests, perhaps made only when they are asked for."""

        def __len__(self) -> int: ...

        def __iter__(self) -> Iterator[Request]: ...

        def __getitem__(self, chosen: slice) -> Sequence[Request]: ...


# Recorded output is fetched for so many commands at a time, and new results are recorded in such batches.
AHEAD = 500
WINDOW = 500
RECORD_EVERY = 0.5
TICK = 0.2


class ManyCommands:
    """Runs or recalls many commands.

    They are planned and looked up by the window, so that a list may be as long as it likes: what has been given back
    is let go of.

    Parameters
    ----------
    requests : sized, with slices
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
    counts : dict
        How many of the requests have come to each state.
    unrecorded : dict of str to int
        Why results of commands that ended well are not recorded, and how many.
    strays : list of str
        What commands made beside their outputs.
    """

    def __init__(
        self,
        requests: Requests,
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
        self._requests = requests
        self._stdin = stdin
        self._window = window(requests)
        self._planned = 0
        self._unique: dict[str, Job] = {}
        self._pending: deque[Job] = deque()
        self._missing: list[Job] = []
        self._fetched = 0
        self.counts = dict.fromkeys(("recalled", "computed", "failed", "cancelled"), 0)
        self.unrecorded: dict[str, int] = {}
        self._strays: set[str] = set()
        self._entries: list[Job] = []
        self._recorded = time.monotonic()
        self._failed = False
        self._stopped = self._told = False
        self._say: Callable[[str], None] = lambda text: None
        self._plan()

    @property
    def strays(self) -> list[str]:
        """What commands made beside their outputs."""
        return sorted(self._strays)  # commands end in any order

    @property
    def first(self) -> Job | None:
        """The first that has not been given back."""
        return self._pending[0] if self._pending else None

    def all(self) -> list[Job]:
        """Plan all commands, and return them; equal ones share a job."""
        while self._plan():
            continue
        return list(self._pending)

    def _plan(self) -> bool:
        """Plan the next commands, and look up which results are recorded; False where there are none."""
        requests = self._requests[self._planned : self._planned + self._window]
        if not requests:
            return False
        self._planned += len(requests)
        new: list[Job] = []
        for plan in planner_for(self._session).plan(requests, self._stdin):
            job = self._unique.get(plan.transformation)
            if job is None:
                job = self._unique[plan.transformation] = Job(plan)
                new.append(job)
            elif job.state in self.counts:
                self.counts[job.state] += 1
            job.uses += 1
            self._pending.append(job)
        self._look_up([job for job in new if not job.plan.request.fresh])
        self._missing += [job for job in new if job.state == "waiting"]
        return True

    def _begin(self) -> bool:
        """Have more commands run, where few are under way; False where there are no more."""
        if self._stopped:
            self.counts["cancelled"] += len(self._requests) - self._planned
            self._planned = len(self._requests)
        elif not self._missing and self._planned - sum(self.counts.values()) < self._window // 2 and not self._plan():
            return False
        missing, self._missing = self._missing, []
        if missing:
            self._start(missing)
        return bool(self._pending)

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
            if self._missing:
                self._begin()
            while self._pending or self._begin():
                job = self._pending[0]
                if not self._fetched:
                    piece = list(islice(self._pending, AHEAD))
                    self._fetch(piece)
                    self._fetched = len(piece)
                self._secure(job)
                while job.state == "waiting":
                    self._collect(tick)
                    self._begin()
                    self._secure(job)
                tick()
                yield job
                self._pending.popleft()
                self._fetched -= 1
                job.uses -= 1
                if not job.uses:
                    self._forget(job)
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
        self._start([job])

    def _start(self, jobs: Sequence[Job]) -> None:
        from offload.commands.running.one import check_before

        check_before([job.plan for job in jobs], self._session, _keep_quiet if self._told else self._say)
        self._told = True
        for job in jobs:
            job.tries += 1
        if self._executor is None:
            self._executor = self._make_executor()
        self._executor.start(jobs, self._say)

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
            self._strays.update(job.strays)
            if job.unrecorded:
                self._miss(job)
            if job.entry is not None:
                self._entries.append(job)
        note_failures(failed, self._session, self._say)
        for job in again:
            job.again()
        if again:
            self._start(again)
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
                self._miss(job)
            return
        finally:
            for job in jobs:
                job.let_go()
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.outcome = outcome
            job.entry = None
            job.slim(self._session.store if len(self._pending) > 2 * WINDOW else None)

    def _miss(self, job: Job) -> None:
        """Count a command whose result is not recorded."""
        self.unrecorded[job.unrecorded] = self.unrecorded.get(job.unrecorded, 0) + max(job.uses, 1)

    def _stop(self) -> None:
        self._stopped = True
        if self._executor is not None:
            self._executor.stop()
            self._take(self._executor.finished(0))

    def _forget(self, job: Job) -> None:
        """Let go of a command that has been given back."""
        del self._unique[job.plan.transformation]
        job.record = None
        if job.execution is not None:
            for spool in (job.execution.stdout, job.execution.stderr):
                if spool.path is not None and os.path.exists(spool.path):
                    os.unlink(spool.path)


def window(requests: Requests) -> int:
    """Return how many commands are planned at a time: all, where some are equal, and so run only once.

    Raises
    ------
    UsageError
        When a declared input is missing, or an output could not be brought back: nothing is to run then.
    """
    if len(requests) <= WINDOW or getattr(requests, "are_different", False):
        return WINDOW
    seen: set[int] = set()
    for request in requests:
        words = (request.argv, request.inputs, request.outputs, list(request.variables.items()))
        seen.add(hash(repr(words)))
        for path in request.inputs:
            check_input(path)
        check_places(request.output_paths)
    return WINDOW if len(seen) == len(requests) else len(requests)


def _keep_quiet(text: str) -> None:
    """Tell nobody."""
