"""Many commands as jobs of a deployment."""

from __future__ import annotations

import functools
import time
from collections import deque

from offload.commands.running.executor import CommandExecutor, Job
from offload.commands.running.scratch import Scratch
from offload.errors import OffloadError
from offload.jobs.commands.client import TELL_AFTER
from offload.jobs.commands.follow import Followed
from offload.jobs.commands.inputs import complete
from offload.jobs.commands.protocol import RUNNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from offload.jobs.commands.client import CommandJobs
    from offload.registry.session import Session

MOST = 1000
"""Jobs under way at once where the user sets no limit: what the client asks about again and again."""


class DeploymentExecutor(CommandExecutor):
    """Gives commands to a deployment's job service, which has them run and records them.

    Parameters
    ----------
    jobs : CommandJobs
        The job service.
    session : Session
        Where outputs come from.
    most : int, optional
        How many are under way at once.
    scratch : str, optional
        Where to put output aside.
    """

    def __init__(
        self, jobs: CommandJobs, session: Session, most: int | None = None, scratch: str | None = None
    ) -> None:
        self._jobs = jobs
        self._session = session
        self._most = most or MOST
        self._aside = Scratch(scratch)
        self._queue: deque[Job] = deque()
        self._under_way: dict[int, tuple[Job, Followed]] = {}
        self._ended: list[tuple[Job, str]] = []
        self._say: Callable[[str], None] = lambda text: None
        self._told = ""
        self._tell_at = time.monotonic() + TELL_AFTER

    def start(self, jobs: Sequence[Job], say: Callable[[str], None]) -> None:
        """Take on jobs."""
        self._say = say
        complete([job.plan for job in jobs], self._jobs.store(self._session), with_inputs=not self._jobs.sees_files)
        self._queue.extend(jobs)

    def finished(self, seconds: float) -> list[tuple[Job, str]]:
        """Return the jobs that have come to their end since."""
        self._submit()
        if self._under_way and not self._ended:
            self._jobs.follow([followed for _, followed in self._under_way.values()], seconds)
            for job, followed in list(self._under_way.values()):
                if followed.outcome is not None:
                    del self._under_way[followed.job]
                    self._ended.append((job, self._end(job, followed)))
            self._tell()
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None:
        """Leave what is under way: it is cancelled, unless somebody else waits for it."""
        left = [job for job, _ in self._under_way.values()]
        plans = [job.plan for job in [*left, *self._queue]]
        self._ended += [(job, "cancelled") for job in [*left, *self._queue]]
        self._under_way.clear()
        self._queue.clear()
        try:
            self._jobs.leave_plans(plans)
        except OffloadError as error:
            self._say(f"what is under way could not be cancelled: {error.message}")

    def close(self) -> None:
        """Let go of the connection, and of what was put aside."""
        self._jobs.close()
        self._aside.remove()

    def _submit(self) -> None:
        """Fill up what is under way."""
        count = min(len(self._queue), self._most - len(self._under_way))
        if count <= 0:
            return
        batch = [self._queue[position] for position in range(count)]
        tickets = self._jobs.submit([job.plan for job in batch])
        for job, ticket in zip(batch, tickets, strict=True):
            self._queue.popleft()
            if ticket.recorded:
                self._ended.append((job, "recalled"))
            else:
                place = functools.partial(self._place, f"{job.plan.transformation}.{ticket.job}")
                self._under_way[ticket.job] = job, Followed(ticket.job, place)

    def _place(self, transformation: str, which: str) -> str:
        return self._aside.file(f"{transformation}.{which}")

    def _end(self, job: Job, followed: Followed) -> str:
        try:
            computed = followed.end(self._session)
        except OffloadError as error:
            job.error = error
            return "failed"
        job.execution, job.outcome = computed.execution, computed.outcome
        job.unrecorded, job.strays = computed.unrecorded, computed.strays
        return "failed" if computed.execution.exit_code else "computed"

    def _tell(self) -> None:
        """Say why nothing happens, while none of the jobs runs."""
        now = time.monotonic()
        under_way = [followed for _, followed in self._under_way.values()]
        if any(followed.state == RUNNING for followed in under_way):
            self._tell_at = now + TELL_AFTER
        elif under_way and now >= self._tell_at and (reason := under_way[0].reason):
            self._tell_at = now + TELL_AFTER
            reason = self._jobs.explained(reason)
            if reason != self._told:
                self._told = reason
                self._say(self._told)
