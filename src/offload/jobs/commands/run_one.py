"""One command as a job of a deployment: given, followed to its end, its outputs brought back."""

from __future__ import annotations

import time

from offload.commands.failures import note_failures
from offload.commands.running.one import check_before
from offload.errors import OffloadError
from offload.jobs.commands.follow import Followed
from offload.jobs.commands.inputs import complete
from offload.jobs.commands.protocol import CANCELLING
from offload.storage.retrying import AwayError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.commands.planning.plan import Plan
    from offload.commands.running.one import Computed
    from offload.commands.running.scratch import Scratch
    from offload.commands.running.sinks import Sink
    from offload.jobs.commands.client import CommandJobs
    from offload.registry.session import Session

LAST_WORDS = 15.0
"""Seconds for which what an interrupted command still writes is waited for: it is killed before they are over."""


def compute_there(
    plan: Plan,
    jobs: CommandJobs,
    session: Session,
    scratch: Scratch,
    sinks: tuple[Sink | None, Sink | None],
    say: Callable[[str], None],
) -> Computed | None:
    """Have a command run on a deployment, which records what it gave; see `offload.commands.running.one.compute`.

    Returns
    -------
    Computed or None
        None when somebody else has had it recorded meanwhile.
    """
    check_before([plan], session, say)
    complete([plan], jobs.store(session), with_inputs=not jobs.sees_files)
    followed = None
    try:
        ticket = jobs.submit([plan])[0]
        if ticket.recorded:
            return None
        followed = Followed(ticket.job, scratch.file, sinks)
        jobs.wait(followed)
    except AwayError:
        raise
    except BaseException as error:
        if followed is not None or not isinstance(error, OffloadError):
            goes_on = _leave(plan, followed, jobs)
            if isinstance(error, KeyboardInterrupt):
                say(f"interrupted; {goes_on}" if goes_on else "interrupted; not recorded")
        raise
    computed = followed.end(session)
    if computed.execution.exit_code and not computed.execution.refused:
        note_failures([(plan, computed.execution, None, computed.worker)], session, say)
    return computed


def _leave(plan: Plan, followed: Followed | None, jobs: CommandJobs) -> str:
    """Wait for a job no longer. When it is cancelled by that, its last words are passed on.

    Returns
    -------
    str
        Why it goes on; "" when it does not.
    """
    try:
        for info in jobs.leave_plans([plan]):
            if info.reason != CANCELLING:
                return f"job {info.job} goes on: somebody else waits for it"
            if followed is not None:
                deadline = time.monotonic() + LAST_WORDS
                while followed.outcome is None and (left := deadline - time.monotonic()) > 0:
                    jobs.follow([followed], left)
    except BrokenPipeError:
        return ""  # nobody hears them
    except OffloadError as error:
        return f"the job may go on: {error.message}"
    return ""
