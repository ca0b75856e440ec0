"""Finding what a command gave before, and giving it again."""

from __future__ import annotations

from offload.commands.planning.plan import Plan
from offload.commands.planning.planner import Planner
from offload.commands.planning.stdin import Stdin, find
from offload.commands.result import CommandRecord, chunks, fetch, load, secure
from offload.errors import BufferMissingError, OffloadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.commands.request import Request
    from offload.commands.running.scratch import Scratch
    from offload.commands.running.sinks import Sink
    from offload.registry.session import Session


def planner_for(session: Session) -> Planner:
    """Return a planner that uses a session's file-checksum cache."""
    return Planner(session.files, (session.home.path,), lambda one: session.database.lookup([one])[0] is not None)


def plan_one(request: Request, session: Session, scratch: Scratch, say: Callable[[str], None]) -> tuple[Planner, Plan]:
    """Return the plan of one command, its standard input found."""
    planner = planner_for(session)
    stdin = find(request.stdin, session.files, scratch, say)
    return planner, planner.plan([request], stdin)[0]


def close_stdin(plan: Plan, session: Session) -> None:
    """Make a standard input that is open and silent none, unless the command is recorded with it.

    What arrives later would not find its way to the worker that runs the command.
    """
    if plan.stdin.is_open and session.database.lookup([plan.transformation])[0] is None:
        plan.stdin = Stdin()
        plan.identify(None)


def recall(plan: Plan, session: Session) -> CommandRecord | None:
    """Return what is recorded for a plan, with its outputs brought back; None when it has to be computed."""
    record = load(session.recall([plan.transformation]), session.store)[0]
    if record is None or not fetch([record], session.store)[0] or not secure(record, session.store):
        return None
    if record.outputs:
        from offload.storage.delivery import deliver_stored

        try:
            deliver_stored(record.outputs, session.files, session.store, plan.newest())
        except BufferMissingError:
            return None
    return record


def recall_recorded(plan: Plan, session: Session) -> CommandRecord:
    """Return what somebody else has had recorded for a plan meanwhile, as `recall` does.

    Raises
    ------
    OffloadError
        When it is gone again.
    """
    record = recall(plan, session)
    if record is None:
        raise OffloadError("the result was recorded by another run, but is not stored any more", "run it again")
    return record


def is_recorded(transformation: str, session: Session) -> bool:
    """Return whether a result can be recalled."""
    return session.database.lookup([transformation])[0] is not None and not is_lost(transformation, session)


def is_lost(transformation: str, session: Session) -> bool:
    """Return whether a result is recorded, but not stored any more."""
    if session.database.lookup([transformation])[0] is None:
        return False
    record = load(session.recall([transformation]), session.store)[0]
    return record is None or not fetch([record], session.store)[0]


def replay(record: CommandRecord, session: Session, stdout: Sink, stderr: Sink) -> bool:
    """Write again what the command wrote; False when the reader went away."""
    whole = True
    for sink, data, checksum in (
        (stderr, record.stderr_data, record.stderr),
        (stdout, record.stdout_data, record.stdout),
    ):
        for chunk in chunks(data, checksum, session.store):
            if chunk and not sink(chunk):
                whole = False
                break
    return whole
