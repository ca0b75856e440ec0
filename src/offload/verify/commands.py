"""Running a recorded command again, from the inputs that it had."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, wait

from offload.commands.planning.inputs import PlannedInput
from offload.commands.planning.plan import Plan
from offload.commands.planning.program_software import software_checksum
from offload.commands.planning.programs import resolve
from offload.commands.recall import planner_for
from offload.commands.request import Request
from offload.commands.result import CommandRecord, decode_record
from offload.commands.running.execution import Running, execute_aside, prepare
from offload.commands.running.outputs import find
from offload.commands.running.scratch import Scratch
from offload.errors import DecodeError, OffloadError
from offload.identity.commands import ENVIRONMENT
from offload.identity.files import file_checksum
from offload.identity.values.decode import decode
from offload.verify.inputs import Silent, input_of, stdin_of
from offload.verify.verdicts import (
    COMPARED,
    DIFFERENT,
    NOT_RUN,
    SAME,
    CannotRunError,
    Verdict,
    different_bytes,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from offload.commands.running.execution import Execution
    from offload.registry.session import Session
    from offload.storage.delivery import FoundOutput
    from offload.storage.records import Transformation

    Record = dict[str, Any]


LOOK_EVERY = 0.5
"""Seconds after which an interrupt is acted upon at the latest."""


class Rerunner(Running):
    """Runs recorded commands again, one at a time.

    That happens in a thread: an interrupt, which comes to the main one, finds each process that was started.
    """

    def __init__(self) -> None:
        super().__init__()
        self._pool = ThreadPoolExecutor(1, "offload-verify")

    def close(self) -> None:
        """End what runs."""
        self.stop()
        self._pool.shutdown()

    def verify(self, session: Session, found: Transformation) -> Verdict:
        """Run a recorded command again, in a scratch directory, and compare what it gives.

        Parameters
        ----------
        session : Session
            Where it is recorded; nothing is written to it.
        found : Transformation
            The command's.
        """
        future = self._pool.submit(self._judged, session, found)
        # With a limit: a signal that comes just before a wait begins is acted upon only after it.
        while not wait([future], LOOK_EVERY).done:
            pass
        return future.result()

    def _judged(self, session: Session, found: Transformation) -> Verdict:
        scratch = Scratch()
        try:
            return self._verify(session, found, scratch)
        except CannotRunError as error:
            return Verdict(found, NOT_RUN, [str(error)])
        except OffloadError as error:
            return Verdict(found, NOT_RUN, [error.message])
        finally:
            scratch.remove()

    def _verify(self, session: Session, found: Transformation, scratch: Scratch) -> Verdict:
        recorded = _recorded(session, found)
        plan, stdin = _planned(session, found, scratch)
        prepare(plan, scratch)
        try:
            execution = execute_aside(plan, scratch, self, scratch.file("again"))
        finally:
            stdin.close()
        if execution is None:
            raise CannotRunError("it was stopped")
        if execution.unrecordable:
            return Verdict(found, NOT_RUN, [f"what it gave this time does not count: {execution.unrecordable}"])
        reasons = list(_differences(session, recorded, execution, plan, scratch))
        return Verdict(found, DIFFERENT if reasons else SAME, reasons, execution.seconds)


def _recorded(session: Session, found: Transformation) -> CommandRecord:
    (result,) = session.database.results([found.checksum])
    (data,) = session.store.get([result.result]) if result is not None else [None]
    if data is None:
        raise CannotRunError("its result is not stored any more")
    try:
        return decode_record(data)
    except DecodeError as error:
        raise CannotRunError(error.message) from error


def _planned(session: Session, found: Transformation, scratch: Scratch) -> tuple[Plan, Silent]:
    """Return the command as it was, with all that it depends on."""
    record: Record = decode(found.record)
    runs = session.database.runs(transformation=found.checksum, limit=1)
    details: Record = decode(runs[0].details) if runs else {}
    if record["environment"] != ENVIRONMENT:
        raise CannotRunError("it ran in an environment that this version of offload does not give to commands")
    if "there" in record:
        raise CannotRunError(f"it ran a program of another machine: {record['there']['machine'] or 'a cluster'}")
    outputs = details["outputs"] if "outputs" in details else record["outputs"]
    environment = details.get("environment")
    request = Request(
        record["argv"],
        outputs=outputs,
        variables=record["variables"],
        stdin="none",
        detect=False,
        environment=environment,
    )
    directory = details.get("directory", "")
    inputs = [input_of(session, item, directory, request, scratch, n) for n, item in enumerate(record["inputs"])]
    stdin = stdin_of(session, record["stdin"], details, scratch)
    finder = planner_for(session).programs
    named = finder.environment(environment)
    path = None if named is None else named.variables()["PATH"]
    executable = _program(session, record, details, inputs)
    script = next((item.source for item in inputs if item.path == os.path.normpath(executable)), executable)
    programs = finder.named(request.argv, script, path, inputs)
    for name in record["programs"].keys() | programs.keys():
        if name not in programs or session.files.checksum(programs[name]) != record["programs"].get(name):
            raise CannotRunError(f"the program {name} is not the one that it used")
    plan = Plan(request, executable, inputs, stdin, programs)
    plan.environment = named
    plan.executable_checksum, plan.program_checksums = record["executable"], record["programs"]
    plan.software = software_checksum(finder.installed(plan))
    if plan.software != record["software"]:
        raise CannotRunError("other packages are installed beside the program than when it ran")
    plan.identify(record["stdin"])
    if plan.transformation != found.checksum:
        raise CannotRunError("another version of offload recorded it")
    return plan, stdin


def _program(session: Session, record: Record, details: Record, inputs: list[PlannedInput]) -> str:
    """Return the path of the program, which is the one that was run."""
    name: str = record["argv"][0]
    if "/" in name and not name.startswith("/"):
        path = os.path.normpath(name)
        if any(item.path == path for item in inputs):
            return name  # it is copied with the inputs
    for candidate in (details.get("executable"), None):
        try:
            path = candidate or resolve(name)
        except OffloadError:
            continue
        if os.path.isfile(path) and session.files.checksum(path) == record["executable"]:
            return path
    raise CannotRunError(f"the program {name} is not the one that it used")


def _differences(
    session: Session, recorded: CommandRecord, execution: Execution, plan: Plan, scratch: Scratch
) -> Iterator[str]:
    from offload.identity.checksums import checksum

    if execution.exit_code:
        tail = execution.stderr.tail(200).decode("utf-8", "replace").strip().rpartition("\n")[2]
        yield f"exit code 0 -> {execution.exit_code}" + (f": {tail}" if tail else "")
        return
    for name, spool, before in (
        ("stdout", execution.stdout, recorded.stdout),
        ("stderr", execution.stderr, recorded.stderr),
    ):
        now = checksum(spool.read()) if spool.path is None else file_checksum(spool.path)
        if now != before:
            yield f"{name}: {_content(session, before, spool.tail(COMPARED) if spool.size <= COMPARED else None)}"
    made = {item.record.path: item for item in find(plan.request.output_paths, scratch)}
    for output in recorded.outputs:
        yield from _output(session, output.path, output.checksum, output.executable, made[output.path])


def _output(session: Session, path: str, before: str, executable: bool, now: FoundOutput) -> Iterator[str]:
    from offload.identity.directories import decode_manifest

    if now.tree is None:
        if file_checksum(now.source) != before:
            yield f"{path}: {_content(session, before, _small(now.source))}"
        elif now.record.executable != executable:
            yield f"{path}: its executable bit changed"
        return
    now.tree.manifest({name: file_checksum(name) for name in now.tree.paths()})
    (data,) = session.store.get([before])
    old = {} if data is None else {entry.name: entry for entry in decode_manifest(data)}
    new = {entry.name: entry for entry in now.tree.entries}
    for name in sorted(old.keys() | new.keys()):
        if name not in new or name not in old:
            yield f"{path}/{name}: {'made only this time' if name in new else 'not made this time'}"
        elif (old[name].kind, old[name].value) != (new[name].kind, new[name].value):
            place = f"{now.source}/{name}"
            text = _content(session, old[name].value, _small(place)) if new[name].kind == "file" else "another thing"
            yield f"{path}/{name}: {text}"
        elif old[name].executable != new[name].executable:
            yield f"{path}/{name}: its executable bit changed"


def _small(path: str) -> bytes | None:
    if os.path.getsize(path) > COMPARED:
        return None
    with open(path, "rb") as stream:
        return stream.read()


def _content(session: Session, before: str, now: bytes | None) -> str:
    (size,) = session.store.sizes([before])
    if size is None:
        return "other content (the recorded one is not stored any more)"
    if now is None or size > COMPARED:
        return "other content"
    (data,) = session.store.get([before])
    return "other content" if data is None else different_bytes(data, now)
