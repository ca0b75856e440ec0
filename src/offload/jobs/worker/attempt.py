"""The worker's side: one attempt to run a job."""

from __future__ import annotations

import contextlib
import os
import pickle
import time

from offload.commands.planning.check import differences
from offload.commands.planning.detect import absent_paths, shell_names
from offload.commands.planning.fingerprints import changes, seen, take
from offload.commands.planning.programs import CommandNotFoundError
from offload.commands.planning.remote_programs import around
from offload.commands.result import chunks, fetch, load, secure
from offload.commands.running.batch import LOST, Ended
from offload.commands.running.execution import prepare
from offload.commands.running.executor import Job
from offload.commands.running.one import changed_in_place, entry_of, stored
from offload.commands.running.outputs import find
from offload.commands.running.scratch import Scratch
from offload.errors import EnvironmentDiffersError, OffloadError, WorkerLostError
from offload.jobs.commands.protocol import Begun, Outcome
from offload.jobs.worker.inputs import copy_from, place_at, stdin_at
from offload.jobs.worker.programs import search_path
from offload.jobs.worker.starter import Course, Resident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.commands.planning.fingerprints import Fingerprint
    from offload.commands.planning.plan import Plan
    from offload.commands.planning.planner import Planner
    from offload.commands.running.execution import Execution
    from offload.jobs.worker.report import Told
    from offload.registry.session import Session


class Attempt:
    """One attempt to run a job.

    Parameters
    ----------
    begun : Begun
        What to run.
    session : Session
        Where the results are stored.
    resident : Resident
        Runs it.
    checks : Checks
        Looks at what is here: what several attempts have in common only once.
    scratch : str, optional
        Where to make the scratch directory.
    """

    def __init__(
        self, begun: Begun, session: Session, resident: Resident, checks: Checks, scratch: str | None = None
    ) -> None:
        self._begun = begun
        self._session = session
        self._checks = checks
        self._aside = resident.aside
        self._scratch = scratch
        self._course = Course(resident)
        self._programs: Fingerprint | None = None

    def stop(self) -> None:
        """End the command, as Ctrl-C would."""
        self._course.stop()

    def outcome(self, told: Told) -> Outcome:
        """Run the command and return what came of it; it is cancelled when it was stopped."""
        started = time.time()
        try:
            outcome = self._outcome(told)
        except OffloadError as exc:
            outcome = Outcome(error=exc)
        except OSError as exc:
            outcome = Outcome(error=OffloadError(f"{exc.filename or 'the command'}: {exc.strerror}"))
        except Exception as exc:  # the user has to know, whatever it is
            outcome = Outcome(error=OffloadError(f"internal error: {type(exc).__name__}: {exc}"))
        if self._course.stopping:
            outcome = Outcome(cancelled=True)
        outcome.started = outcome.started or started
        return outcome

    def _outcome(self, told: Told) -> Outcome:
        plan: Plan = pickle.loads(self._begun.plan)
        place_at(plan, self._begun.directory)
        planner = self._checks.planner
        path = self._begun.path
        if plan.request.there is not None:
            plan.around, path = around(), search_path(path)
            # What an earlier client has submitted does not tell what it needs to know.
            knows = getattr(plan, "sought", None) is not None
            if knows and (recorded := self._with_own_programs(plan, path, told)) is not None:
                return recorded
        self._checks.check(plan, path)
        ended = Ended(Job(plan), absent_paths(plan.request.argv))
        if not plan.is_staged:
            return self._run(plan, planner, ended, None, path, told)
        copy = copy_from(self._session.store)
        scratch = Scratch(plan.request.scratch or self._scratch)
        try:
            plan.stdin = stdin_at(plan.stdin, scratch, copy)
            ended.stager = prepare(plan, scratch, copy)
            return self._run(plan, planner, ended, scratch, path, told)
        finally:
            scratch.remove()

    def _with_own_programs(self, plan: Plan, path: str, told: Told) -> Outcome | None:
        """Have the programs that are here count for a command; return what is recorded, if it is another one by that.

        They may be others than those that the client was told of: on another machine, or earlier.
        """
        self._programs = seen(plan, path, self._session.files)
        if self._programs is None:
            assert plan.sought is not None
            raise CommandNotFoundError(f"command not found on {os.uname().nodename}: {plan.sought.main}")
        if not take(plan, self._programs) or plan.request.fresh:
            return None
        data = self._session.recall([plan.transformation])[0]
        record = load([data], self._session.store)[0]
        if record is None or not fetch([record], self._session.store)[0] or not secure(record, self._session.store):
            return None
        for which, part, checksum in ((0, record.stdout_data, record.stdout), (1, record.stderr_data, record.stderr)):
            for chunk in chunks(part, checksum, self._session.store):
                told.write(which, chunk)
        return Outcome(0, record=data, outcome="same")

    def _changed(self, plan: Plan, planner: Planner, path: str) -> str:
        if self._programs is not None:
            now = seen(plan, path, self._session.files)
            for one in changes(self._programs, now):
                return f"{one} changed while the command ran"
        return changed_in_place(plan, planner)

    def _run(
        self, plan: Plan, planner: Planner, ended: Ended, scratch: Scratch | None, path: str, told: Told
    ) -> Outcome:
        spool = self._aside.file(os.urandom(8).hex())
        try:
            message = self._course.run(plan, scratch, path, spool, told.write)
            place = "/" if scratch is None else scratch.work
            error = WorkerLostError(LOST) if message[0] == "lost" else ended.hear(message, place)
            strays = ended.strays(self._aside)
            execution = ended.job.execution
            if error is not None or execution is None:
                return Outcome(error=error, cancelled=error is None)
            outcome = Outcome(execution.exit_code, execution.started, execution.seconds)
            if not execution.exit_code and not self._course.stopping:
                outcome.strays = strays
                self._take_in(plan, execution, scratch, outcome, self._changed(plan, planner, path))
            return outcome
        finally:
            for which in (".out", ".err"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(spool + which)

    def _take_in(
        self, plan: Plan, execution: Execution, scratch: Scratch | None, outcome: Outcome, changed: str
    ) -> None:
        """Store what a command that has ended well has given: its client is to get it in any case."""
        found = [] if scratch is None else find(plan.request.output_paths, scratch)
        outcome.unrecorded = execution.unrecordable or changed
        outcome.record = stored(execution, found, self._session.store)
        if not outcome.unrecorded:
            directory = os.fsencode(self._begun.directory).decode("utf-8", "replace")
            outcome.entry = entry_of(plan, execution, outcome.record, self._session, directory=directory)


class Checks:
    """Checks that here is what commands were identified with, for a moment's worth of commands.

    What a command has executed is looked at after it has run in any case. So what several of them have in common need
    be looked at before the first of them only.

    Parameters
    ----------
    planner : Planner
        Looks at what is here.
    """

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self._known: set[tuple[object, ...]] = set()

    def check(self, plan: Plan, path: str) -> None:
        """Check a command; see `check`."""
        key = (
            path, plan.request.there is None, plan.environment and plan.environment.prefix,
            plan.executable, plan.executable_checksum, plan.software, *shell_names(plan.request.argv),
            *plan.programs.items(), *plan.program_checksums.items(),
        )  # fmt: skip
        if key in self._known and not plan.in_place():
            return
        check(plan, self.planner, path)
        self._known.add(key)


def check(plan: Plan, planner: Planner, path: str) -> None:
    """Check that here is what the command was identified with.

    Raises
    ------
    EnvironmentDiffersError
        If it is not; each difference is named.
    """
    found = differences(plan, planner, path)
    if found:
        raise EnvironmentDiffersError(
            f"{os.uname().nodename} does not have what the command was identified with: "
            + "; ".join(str(difference) for difference in found),
            "have the same there, or give the command again if it has changed since",
        )
