"""Computing one command: run it, store what it gave, record it, bring its outputs back."""

from __future__ import annotations

import os

from offload.commands.failures import note_failures
from offload.commands.planning.directories import listed
from offload.commands.recall import is_lost
from offload.commands.result import CommandRecord, decode_record
from offload.commands.running.execution import Execution, execute, prepare
from offload.commands.running.outputs import find, store_outputs
from offload.errors import NotWritableError, OffloadError, StorageError
from offload.identity.checksums import checksum
from offload.identity.values.documents import encode_plain
from offload.records.provenance import where
from offload.records.usage import used
from offload.storage.delivery import check_places, deliver_found
from offload.storage.records import Entry
from offload.tasks.claims import claimed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from offload.commands.planning.plan import Plan
    from offload.commands.planning.planner import Planner
    from offload.commands.running.pipes import Sink
    from offload.commands.running.scratch import Scratch
    from offload.commands.running.staging import Stager
    from offload.registry.session import Session
    from offload.storage.delivery import FoundOutput
    from offload.storage.store import Store

EMPTY = checksum(b"")


class Computed:
    """What came of computing a command.

    Parameters
    ----------
    execution : Execution
        The run.

    Attributes
    ----------
    outcome : str
        What the database said (``"recorded"``, ``"same"``, ``"irreproducible"``, ``"replaced"``), or "".
    unrecorded : str
        Why the result is not recorded, where the command itself ended well.
    problem : OffloadError, optional
        The storage trouble behind that.
    found : list of FoundOutput
        Its outputs, still in the scratch directory.
    entry : Entry, optional
        What the database is to keep; None when the result is not to be recorded.
    strays : list of str
        What the command made or changed beside its outputs: relative paths are lost, absolute ones were written
        this time only.
    job, worker : int, str or None
        As which job of a deployment it ran, and which worker ran it; None for one that ran here.
    """

    __slots__ = ("entry", "execution", "found", "job", "outcome", "problem", "strays", "unrecorded", "worker")

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.outcome = ""
        self.unrecorded = ""
        self.problem: OffloadError | None = None
        self.found: list[FoundOutput] = []
        self.entry: Entry | None = None
        self.strays: list[str] = []
        self.job: int | None = None
        self.worker: str | None = None

    def miss(self, problem: StorageError) -> None:
        """Note that the result cannot be recorded."""
        self.problem = problem
        self.unrecorded = problem.message


def check_before(plans: Sequence[Plan], session: Session, say: Callable[[str], None]) -> None:
    """Check what can be checked before any work is done, and warn of what ties a result to one place.

    Raises
    ------
    NotWritableError
        When nothing could be recorded.
    UsageError
        When an output could not be brought back.
    """
    for path in (session.home.path, session.home.store, session.home.database):
        if os.path.exists(path) and not os.access(path, os.W_OK):
            raise NotWritableError(
                f"{path} is not writable: the result could not be recorded, so nothing was run",
                "make it writable, or set OFFLOAD_HOME to another directory",
            )
    for plan in plans:
        check_places(plan.request.output_paths)
    tied = list({item.path: None for plan in plans for item in plan.in_place()})
    if tied:
        names = ", ".join(tied[:3]) + (f" and {len(tied) - 3} more" if len(tied) > 3 else "")
        say(f"read in place: {names}; recalled only under the same absolute path, with a relative one anywhere")


def compute(
    plan: Plan,
    planner: Planner,
    session: Session,
    scratch: Scratch,
    sinks: tuple[Sink | None, Sink | None],
    say: Callable[[str], None],
) -> Computed | None:
    """Run a command and record what it gave, if it ended well; None when somebody else has had it recorded meanwhile.

    A process of this machine that runs it already is waited for.

    Parameters
    ----------
    plan, planner
        The command, and who planned it.
    session : Session
        Where to record.
    scratch : Scratch
        Where to run; removed by the caller.
    sinks : tuple of two callables
        Get stdout and stderr as they come.
    say : callable
        Tells the user what goes on.
    """
    check_before([plan], session, say)
    with claimed(session, plan.transformation, plan.request.label, say, waits=not plan.request.fresh) as recorded:
        if recorded and not is_lost(plan.transformation, session):
            return None
        return _compute(plan, planner, session, scratch, sinks, say)


def _compute(
    plan: Plan,
    planner: Planner,
    session: Session,
    scratch: Scratch,
    sinks: tuple[Sink | None, Sink | None],
    say: Callable[[str], None],
) -> Computed:
    stager = prepare(plan, scratch)
    execution = execute(plan, scratch, sinks, say)
    if execution.exit_code:
        if not execution.refused:
            note_failures([(plan, execution, None, None)], session, say)
        return Computed(execution)
    try:
        computed = take_in(plan, planner, execution, session, scratch, stager)
    except OffloadError as error:
        note_failures([(plan, execution, error, None)], session, say)
        raise
    if computed.entry is not None:
        try:
            computed.outcome = session.record([computed.entry])[0]
        except StorageError as error:
            computed.miss(error)
    deliver_found(computed.found, session.files, plan.newest())
    return computed


def take_in(
    plan: Plan, planner: Planner, execution: Execution, session: Session, scratch: Scratch, stager: Stager
) -> Computed:
    """Look at what a command that ended well has left in its scratch directory, and store it.

    What is to be recorded is the result's `entry`: recording it, and bringing the outputs back, is left to the caller.
    """
    computed = Computed(execution)
    computed.found = find(plan.request.output_paths, scratch)
    computed.strays = stager.strays(plan.request.output_paths)
    computed.unrecorded = execution.unrecordable or changed_in_place(plan, planner)
    if not computed.unrecorded:
        try:
            record = stored(execution, computed.found, session.store)
            computed.entry = entry_of(plan, execution, record, session)
        except StorageError as error:
            computed.miss(error)
    return computed


def changed_in_place(plan: Plan, planner: Planner) -> str:
    """Return why a result does not count, when a program or an input that was used in place changed; else ""."""
    names = planner.changed(plan)
    return f"{names[0]} changed while the command ran" if names else ""


def stored(execution: Execution, found: list[FoundOutput], store: Store) -> bytes:
    """Put all that a command gave into the store, and return its record, which is there, too."""
    store_outputs(found, store)
    contents: dict[str, bytes] = {}  # put at once: each time waits for the disk
    stdout, stderr = execution.stdout.gather(contents, store), execution.stderr.gather(contents, store)
    record = CommandRecord(stdout, stderr, [output.record for output in found]).encode()
    store.put([*contents.values(), record])
    return record


def entry_of(plan: Plan, execution: Execution, record: bytes, session: Session, **more: object) -> Entry:
    """Return the entry for the database of a command whose record is stored; `more` are details."""
    if plan.installed:
        session.store.put([plan.installed])  # for `why`
    spool = plan.stdin.spool
    if spool is not None and spool.path is None:  # for `verify`, while it is small
        spool.store(session.store)
    more = {"made": made(decode_record(record), session.store), **more}
    return entry(plan, execution, record, is_lost(plan.transformation, session), more)


def entry(
    plan: Plan,
    execution: Execution,
    record: bytes,
    lost: bool,
    more: Mapping[str, object],
    place: Mapping[str, object] | None = None,
) -> Entry:
    """Return the entry of a command.

    Parameters
    ----------
    plan, execution, record
        The command, how it ran, and the record of what it gave.
    lost : bool
        Whether an earlier result is not stored any more.
    more : mapping
        Further details.
    place : mapping, optional
        What :func:`offload.records.provenance.where` has just given.
    """
    return Entry(
        plan.transformation,
        "command",
        plan.request.label,
        None,
        plan.data,
        checksum(record),
        started=execution.started,
        seconds=execution.seconds,
        details=encode_plain({**(place or where()), **details(plan), **used(execution), **more}),
        replace=lost,
    )


def details(plan: Plan) -> dict[str, object]:
    """Return how a command ran: for people, not part of what it is."""
    return {
        "argv": plan.request.argv,
        "executable": plan.executable,
        "environment": None if plan.environment is None else plan.environment.prefix,
        "inputs": [
            {
                "path": item.path,
                "kind": item.kind,
                "size": item.size,
                "how": item.how,
                "checksum": item.checksum,
                **({"holds": listed(item.tree.entries)} if item.tree is not None else {}),
            }
            for item in plan.inputs
        ],
        "stdin": plan.stdin.size if plan.stdin.identity else None,
        "stdin_file": stdin_file(plan),
        "outputs": plan.request.outputs,
    }


def stdin_file(plan: Plan) -> str | None:
    """Return the file that was the standard input of a command, for `verify`."""
    source = plan.stdin.source
    return None if source is None else os.fsencode(os.path.realpath(source)).decode("utf-8", "replace")


def made(record: CommandRecord, store: Store) -> list[list[str]]:
    """Return what a command made, by name and checksum, for lineage: its outputs, files in them, and what it wrote."""
    from offload.identity.directories import decode_manifest

    found = [["stdout", record.stdout]] if record.stdout != EMPTY else []
    for item in record.outputs:
        found.append([item.path, item.checksum])
        (data,) = store.get([item.checksum]) if item.kind == "directory" else [None]
        if data is not None:
            found += [[f"{item.path}/{name}", checksum] for name, checksum in listed(decode_manifest(data))]
    return found
