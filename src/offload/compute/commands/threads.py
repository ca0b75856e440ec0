"""Commands in processes of this machine, several at once, each watched by a thread."""

from __future__ import annotations

import sys
from queue import Empty, SimpleQueue

from offload.compute.claiming import tell
from offload.compute.commands.executor import CommandExecutor, Job
from offload.compute.commands.recall import is_recorded, planner_for
from offload.compute.commands.stage import Scratch
from offload.errors import OffloadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from offload.compute.commands.execution import Execution, Running
    from offload.compute.commands.stage import Stager
    from offload.compute.session import Session


# For a command: its lock, output, error and input, two ends of pipes while it is started, two files that are copied.
_FILES = 8
_SPARE = 8


def openable() -> tuple[int, int]:
    """Return how many files this process may have open, and how many commands it may run at once because of that."""
    import os
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return 0, sys.maxsize
    try:
        used = len(os.listdir("/dev/fd"))
    except OSError:
        used = 32
    return limit, max(1, (limit - used - _SPARE) // _FILES)


class ThreadExecutor(CommandExecutor):
    """Runs commands here.

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
        self._planner = planner_for(session)
        self._aside = Scratch(scratch)
        self._say: Callable[[str], None] = tell
        self._pool: ThreadPoolExecutor | None = None
        self._running: Running | None = None
        self._finished: SimpleQueue[tuple[Job, str]] = SimpleQueue()

    def start(self, jobs: Sequence[Job], say: Callable[[str], None]) -> None:
        """Take on jobs."""
        from concurrent.futures import ThreadPoolExecutor

        from offload.compute.commands.execution import Running

        self._say = say
        if self._pool is None:
            self._aside.file("")
            limit, allowed = openable()
            if allowed < self._most:
                say(f"{allowed} at once, not {self._most}: this process may have {limit} files open (ulimit -n)")
            self._pool = ThreadPoolExecutor(min(allowed, self._most))
            self._running = Running()
        for job in jobs:
            self._pool.submit(self._take, job)

    def finished(self, seconds: float) -> list[tuple[Job, str]]:
        """Return the jobs that have come to their end since."""
        found: list[tuple[Job, str]] = []
        try:
            found.append(self._finished.get(timeout=seconds))
            while True:
                found.append(self._finished.get_nowait())
        except Empty:
            return found
        except BaseException:  # an interruption: what has ended is still to be recorded
            for one in found:
                self._finished.put(one)
            raise

    def stop(self) -> None:
        """End all processes."""
        if self._running is not None:
            self._running.stop()

    def close(self) -> None:
        """Wait for the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._aside.remove()

    def _take(self, job: Job, again: bool = False) -> None:
        """Run one command, in a thread; one that another process is running waits behind the others, then for that."""
        assert self._pool is not None
        try:
            found = self._claim(job, waits=again)
        except OffloadError as error:
            job.error, found = error, "failed"
        except Exception as error:  # nobody looks at what a thread of the pool raises
            job.error, found = OffloadError(f"internal error: {type(error).__name__}: {error}"), "failed"
        if found == "busy":
            self._pool.submit(self._take, job, again=True)
        elif found:
            job.let_go()
            self._finished.put((job, found))
        else:
            self._compute(job)

    def _claim(self, job: Job, waits: bool) -> str:
        """Return ``"busy"`` while another process runs a command, ``"recalled"`` where one has, else nothing."""
        from offload.compute.claiming import wait

        running = self._running
        assert running is not None
        request, transformation, claims = job.plan.request, job.plan.transformation, self._session.claims
        if claims.take(transformation):
            job.claims = claims
        elif not request.fresh and not running.stopping:
            if not waits:
                return "busy"
            wait(claims, transformation, request.label, self._say, lambda: running.stopping)
        return "recalled" if not request.fresh and is_recorded(transformation, self._session) else ""

    def _compute(self, job: Job) -> None:
        """Run one command, in a thread."""
        from offload.compute.commands.execution import execute_aside, prepare

        assert self._running is not None
        scratch = Scratch(job.plan.request.scratch)
        state = "failed"
        try:
            if self._running.stopping:
                state = "cancelled"
                return
            stager = prepare(job.plan, scratch)
            place = self._aside.file(f"{job.plan.transformation}.{job.tries}")
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
                if job.entry is None:  # else it is claimed until it is recorded
                    job.let_go()
                self._finished.put((job, state if job.error is None else "failed"))

    def _finish(self, job: Job, execution: Execution, scratch: Scratch, stager: Stager) -> None:
        from offload.compute.commands.outputs import deliver_found
        from offload.compute.commands.single import take_in

        computed = take_in(job.plan, self._planner, execution, self._session, scratch, stager)
        job.entry, job.unrecorded, job.strays = computed.entry, computed.unrecorded, computed.strays
        deliver_found(computed.found, self._session.files, job.plan.newest())
