"""Many commands in processes of this machine, which a starter begins; what they gave is taken in by the batch."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from queue import Empty, SimpleQueue
from threading import Lock

from offload.commands.planning.detect import absent_paths
from offload.commands.recall import is_lost, planner_for
from offload.commands.running.batch import Batch, Ended
from offload.commands.running.executor import CommandExecutor, Job
from offload.commands.running.scratch import Scratch
from offload.commands.running.session import encoded, environment
from offload.commands.starter.client import Starter
from offload.errors import OffloadError
from offload.tasks.claims import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import ThreadPoolExecutor
    from typing import Any

    from offload.registry.session import Session

AHEAD = 200
"""Commands that are with the starter, or wait there: it never waits for this process. Each is claimed."""

GATHER = 0.03
"""Seconds in which commands that end are taken in together."""

# For a command: its lock, output, error and input, two ends of pipes while it is started, two files that are copied.
_FILES = 8
_SPARE = 8


def openable() -> tuple[int, int]:
    """Return how many files this process may have open, and how many commands it may run at once because of that."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return 0, sys.maxsize
    try:
        used = len(os.listdir("/dev/fd"))
    except OSError:
        used = 32
    return limit, max(1, (limit - used - _SPARE) // _FILES)


class HereExecutor(CommandExecutor):
    """Runs commands here.

    A command that needs nothing of its own in its scratch directory goes to the starter at once. For the others,
    threads copy inputs and fetch outputs, as many commands at a time as run.

    Parameters
    ----------
    session : Session
        Where results are stored. They are recorded by the caller, in batches.
    most : int
        How many run at once.
    scratch : str, optional
        Where to put output aside.
    """

    def __init__(self, session: Session, most: int, scratch: str | None = None) -> None:
        self._session = session
        self._most = most
        self._aside = Scratch(scratch)
        self._planner = planner_for(session)
        self._batch = Batch(session, self._planner, self._aside)
        self._say: Callable[[str], None] = tell
        self._waiting: deque[Job] = deque()
        self._busy: deque[Job] = deque()
        self._staging = 0
        self._under_way = 0
        self._starter: Starter | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._exchange = Lock()
        self._stopping = False
        self._events: SimpleQueue[Callable[[], tuple[Job, str] | None]] = SimpleQueue()
        self._common: dict[bytes, bytes] | None = None

    def start(self, jobs: Sequence[Job], say: Callable[[str], None]) -> None:
        """Take on jobs."""
        self._say = say
        if self._starter is None:
            limit, allowed = openable()
            if allowed < self._most:
                say(f"{allowed} at once, not {self._most}: this process may have {limit} files open (ulimit -n)")
            self._most = min(allowed, self._most)
            self._starter = Starter(self._most, self._aside.path)
        if self._stopping:
            self._cancel(jobs)
        else:
            self._waiting.extend(jobs)

    def finished(self, seconds: float) -> list[tuple[Job, str]]:
        """Return the jobs that have come to their end since."""
        found = self._feed()
        try:
            if not found and (self._under_way or not self._events.empty()):
                self._hear(found, seconds)
                if self._under_way > self._staging and seconds:
                    time.sleep(GATHER)
            while not self._events.empty():
                self._hear(found, 0)
            found += self._batch.take_in()
        except BaseException:  # an interruption: what has ended is still to be recorded
            for one in found:
                self._events.put(lambda one=one: one)  # type: ignore[misc]
            raise
        return found

    def _hear(self, found: list[tuple[Job, str]], seconds: float) -> None:
        try:
            one = self._events.get(timeout=seconds) if seconds else self._events.get_nowait()
        except Empty:
            return
        state = one()
        if state is not None:
            found.append(state)

    def stop(self) -> None:
        """End all processes."""
        self._stopping = True
        self._cancel([*self._waiting, *self._busy])
        self._waiting.clear()
        self._busy.clear()
        if self._starter is None:
            return
        self._starter.end()
        found: list[tuple[Job, str]] = []
        try:
            while self._under_way:
                self._hear(found, 1.0)
        except KeyboardInterrupt:
            # Asked for a second time: no more patience.
            self._starter.end(hard=True)
            raise
        finally:
            for one in found:
                self._events.put(lambda one=one: one)  # type: ignore[misc]

    def _cancel(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._events.put(lambda job=job: (job, "cancelled"))  # type: ignore[misc]

    def close(self) -> None:
        """End the starter, and wait for the threads."""
        if self._starter is not None:
            self._starter.close()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._aside.remove()

    def _feed(self) -> list[tuple[Job, str]]:
        """Begin as many jobs as can be; return those that somebody else has computed meanwhile."""
        begun: list[Job] = []
        while self._under_way + len(begun) < AHEAD and (self._waiting or self._busy):
            if not self._waiting and self._staging >= self._most:
                break
            job = self._waiting[0] if self._waiting else self._busy[0]
            if job.plan.is_staged and self._staging >= self._most:
                break
            if not self._waiting:
                self._wait_for(self._busy.popleft())
                continue
            self._waiting.popleft()
            if self._claim(job):
                self._staging += job.plan.is_staged
                begun.append(job)
            else:
                self._busy.append(job)
        return self._begin(begun)

    def _claim(self, job: Job) -> bool:
        """Claim a job; False where another process computes it."""
        claims = self._session.claims
        if claims.take(job.plan.transformation):
            job.claims = claims
            return True
        return job.plan.request.fresh

    def _begin(self, jobs: Sequence[Job]) -> list[tuple[Job, str]]:
        recorded: list[tuple[Job, str]] = []
        results = self._session.database.lookup([job.plan.transformation for job in jobs]) if jobs else []
        for job, result in zip(jobs, results, strict=True):
            lost = result is not None and is_lost(job.plan.transformation, self._session)
            if result is not None and not lost and not job.plan.request.fresh:
                self._staging -= job.plan.is_staged
                job.let_go()
                recorded.append((job, "recalled"))
                continue
            self._under_way += 1
            if job.plan.is_staged:
                self._threads().submit(self._guarded, job, lambda job=job: self._stage(job))  # type: ignore[misc]
            else:
                self._run(Ended(job, absent_paths(job.plan.request.argv), lost), None)
        return recorded

    def _wait_for(self, job: Job) -> None:
        """Have a thread wait for the process that computes a job."""
        self._under_way += 1
        self._staging += 1

        def waiting() -> None:
            from offload.tasks.claims import wait

            claims, plan = self._session.claims, job.plan
            wait(claims, plan.transformation, plan.request.label, self._say, lambda: self._stopping)

            def waited() -> tuple[Job, str] | None:
                self._under_way -= 1
                self._staging -= 1
                if self._stopping:
                    return job, "cancelled"
                self._staging += job.plan.is_staged
                found = self._begin([job])
                return found[0] if found else None

            self._events.put(waited)

        self._threads().submit(self._guarded, job, waiting)

    def _run(self, ended: Ended, scratch: Scratch | None, stdin: str | None = None) -> None:
        """Give a command to the starter; in a thread, where it has a scratch directory of its own."""
        plan, request = ended.job.plan, ended.job.plan.request
        own = plan.variables()
        if scratch is None and not own:
            if self._common is None:
                self._common = encoded(environment(self._aside, {}))
            around = self._common
        else:
            around = encoded(environment(scratch or self._aside, own))
        program = plan.executable if plan.executable.startswith("/") else request.argv[0]
        heard: Callable[[tuple[Any, ...]], None]
        if scratch is None:
            heard = lambda message: self._events.put(lambda: self._heard(ended, message))  # noqa: E731
        else:
            heard = lambda message: self._heard_of_staged(ended, scratch, message)  # noqa: E731
        self._present().run(
            heard,
            request.argv,
            program,
            around,
            None if scratch is None else scratch.work,
            stdin,
            request.timeout,
            self._aside.file(f"{plan.transformation}.{ended.job.tries}"),
        )

    def _heard(self, ended: Ended, message: tuple[Any, ...]) -> tuple[Job, str] | None:
        """Take in what the starter says of a command, in the main thread."""
        self._under_way -= 1
        return self._taken(ended, message, "/")

    def _heard_of_staged(self, ended: Ended, scratch: Scratch, message: tuple[Any, ...]) -> None:
        """Have a thread look at what the starter's command has left in its own scratch directory."""
        self._threads().submit(self._guarded, ended.job, lambda: self._unstage(ended, scratch, message))

    def _taken(self, ended: Ended, message: tuple[Any, ...], place: str) -> tuple[Job, str] | None:
        """Note how a command has ended; return its state, unless it has to be taken in."""
        job = ended.job
        if message[0] == "lost" and not message[2] and not self._stopping:  # it had not begun
            job.let_go()
            self._waiting.appendleft(job)
            return None
        job.error = ended.hear(message, place)
        if not self._stopping and job.execution is not None and not job.execution.exit_code:
            self._batch.add(ended)
            return None
        return self._through(job)

    def _present(self) -> Starter:
        """Return the starter, or a new one where somebody has killed it."""
        with self._exchange:
            assert self._starter is not None
            if self._starter.lost:
                self._starter.close()
                self._starter = Starter(self._most, self._aside.path)
            return self._starter

    def _through(self, job: Job) -> tuple[Job, str]:
        """Return the state of a job of which nothing is to be recorded, or all is prepared."""
        if job.entry is None:  # else it is claimed until it is recorded
            job.let_go()
        if job.error is not None:
            return job, "failed"
        if job.execution is None or (self._stopping and job.entry is None):
            return job, "cancelled"
        return job, "failed" if job.execution.exit_code else "computed"

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self._most)
        return self._pool

    def _guarded(self, job: Job, act: Callable[[], None]) -> None:
        """Act in a thread; what it raises is an end of the job."""
        try:
            act()
        except OffloadError as error:
            self._give_up(job, error)
        except OSError as error:
            self._give_up(job, OffloadError(f"{error.filename or job.plan.request.argv[0]}: {error.strerror}"))
        except Exception as error:  # nobody looks at what a thread of the pool raises
            self._give_up(job, OffloadError(f"internal error: {type(error).__name__}: {error}"))

    def _give_up(self, job: Job, error: OffloadError) -> None:
        job.error = error
        self._events.put(lambda: self._leave(job))

    def _leave(self, job: Job) -> tuple[Job, str]:
        self._under_way -= 1
        self._staging -= 1
        return self._through(job)

    def _stage(self, job: Job) -> None:
        """Copy the inputs of a command, in a thread, and run it."""
        from offload.commands.running.execution import prepare

        if self._stopping:
            self._events.put(lambda: self._leave(job))
            return
        scratch = Scratch(job.plan.request.scratch)
        try:
            ended = Ended(job, stager=prepare(job.plan, scratch))
            self._run(ended, scratch, job.plan.stdin.place(scratch))
        except BaseException:
            scratch.remove()
            raise

    def _unstage(self, ended: Ended, scratch: Scratch, message: tuple[Any, ...]) -> None:
        """Take in what a command left in its scratch directory, in a thread."""
        from offload.commands.running.one import take_in
        from offload.storage.delivery import deliver_found

        job, stager = ended.job, ended.stager
        assert stager is not None
        try:
            if message[0] == "ended" and not message[2] and not self._stopping:
                if job.plan.request.outputs:
                    ended.take(message)
                    assert job.execution is not None
                    computed = take_in(job.plan, self._planner, job.execution, self._session, scratch, stager)
                    job.entry, job.unrecorded, job.strays = computed.entry, computed.unrecorded, computed.strays
                    deliver_found(computed.found, self._session.files, job.plan.newest())
                    self._events.put(lambda: self._leave(job))
                    return
                job.strays = stager.strays(())
        finally:
            work = scratch.work
            scratch.remove()

        def unstaged() -> tuple[Job, str] | None:
            self._under_way -= 1
            self._staging -= 1
            return self._taken(ended, message, work)

        self._events.put(unstaged)
