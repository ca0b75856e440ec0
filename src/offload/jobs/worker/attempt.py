"""The worker's side: one attempt to run a job."""

from __future__ import annotations

import contextlib
import os
import pickle
import time

from offload.commands.planning.check import differences
from offload.commands.planning.detect import absent_paths, shell_names
from offload.commands.planning.remote_programs import around
from offload.commands.running.batch import LOST, Ended
from offload.commands.running.execution import prepare
from offload.commands.running.executor import Job
from offload.commands.running.one import changed_in_place, entry_of, stored
from offload.commands.running.outputs import find
from offload.commands.running.scratch import Scratch
from offload.errors import EnvironmentDiffersError, OffloadError, WorkerLostError
from offload.jobs.commands.protocol import Begun, Outcome
from offload.jobs.worker.inputs import copy_from, place_at, stdin_at
from offload.jobs.worker.starter import Course, Resident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.commands.planning.plan import Plan, Planner
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
            plan.around, path = around(), f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{path}"
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
                self._take_in(plan, planner, execution, scratch, outcome)
            return outcome
        finally:
            for which in (".out", ".err"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(spool + which)

    def _take_in(
        self, plan: Plan, planner: Planner, execution: Execution, scratch: Scratch | None, outcome: Outcome
    ) -> None:
        """Store what a command that has ended well has given: its client is to get it in any case."""
        found = [] if scratch is None else find(plan.request.output_paths, scratch)
        outcome.unrecorded = execution.unrecordable or changed_in_place(plan, planner)
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
