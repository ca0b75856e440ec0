"""The worker's side: run one attempt of a job, and tell the job service of it.

What comes through Dask is where the deployment keeps its files, and the number of a job: no secrets, no plan.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
import time

from offload.commands.planning.check import differences
from offload.commands.planning.detect import absent_paths
from offload.commands.planning.remote_programs import around
from offload.commands.recall import planner_for
from offload.commands.running.batch import LOST, Ended
from offload.commands.running.execution import prepare
from offload.commands.running.executor import Job
from offload.commands.running.one import changed_in_place, entry_of, stored
from offload.commands.running.outputs import find
from offload.commands.running.scratch import Scratch
from offload.errors import EnvironmentDiffersError, OffloadError, UnseenError, WorkerLostError
from offload.jobs.commands.protocol import Begin, Begun, Outcome
from offload.jobs.worker.inputs import copy_from, place_at, stdin_at
from offload.jobs.worker.report import Reporter, Service, ServiceAwayError
from offload.jobs.worker.starter import Course, Resident
from offload.registry.deployments import Place
from offload.registry.scope import seen_here
from offload.registry.session import Session, session_at_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.commands.planning.plan import Plan, Planner
    from offload.commands.running.execution import Execution
    from offload.storage.home import Key

_services: dict[str, Service] = {}
_residents: dict[str | None, Resident] = {}
_attempts: set[Attempt] = set()
_lock = threading.Lock()
_closing = False


def run(place: str, job: int, home: Key, scratch: str | None = None) -> str:
    """Run a job, if it is still to be run; the Dask task.

    Parameters
    ----------
    place : str
        The deployment's directory.
    job : int
        Which.
    home : tuple of str
        Where results are kept, as :attr:`offload.storage.home.Home.key` says it.
    scratch : str, optional
        Where to make the scratch directory, unless the user has said it; by default ``$TMPDIR``.

    Returns
    -------
    str
        For people who look at the task: what has become of it.
    """
    if not os.path.exists(Place(place).spec):
        # A worker that others have started, or that has joined from another machine.
        raise UnseenError(
            f"{_name()} on {os.uname().nodename} does not see {place}, as workers for commands must", _address()
        )
    service = _service(place)
    try:
        begun = service.ask("/v1/attempts/begin", Begin(job, _name(), os.uname().nodename, os.getpid()))
    except ServiceAwayError as exc:
        return exc.message
    if begun is None:
        return "it is not to be run any more"
    attempt = Attempt(begun, session_at_home(seen_here(home)), _resident(scratch), scratch)
    reporter = Reporter(service.ask, job, begun.attempt, attempt.stop)
    with _lock:
        _attempts.add(attempt)
        if _closing:
            attempt.stop()
    reporter.start()
    try:
        outcome = attempt.outcome(reporter)
    finally:
        with _lock:
            _attempts.discard(attempt)
    given_up = outcome.cancelled and not reporter.refused
    reporter.finish(None if given_up else outcome, given_up)
    return "given up" if given_up else "cancelled" if outcome.cancelled else "it has ended"


def stop_all() -> None:
    """End every command that runs in this process, and all that begin until `resume`: its worker is closing.

    The job service has them run elsewhere.
    """
    global _closing
    with _lock:
        _closing = True
        attempts = list(_attempts)
    for attempt in attempts:
        attempt.stop()


def resume() -> None:
    """Run commands again: the worker has closed, and the process may have another one."""
    global _closing
    with _lock:
        _closing = False
        residents = list(_residents.values())
        _residents.clear()
    for resident in residents:
        resident.close()


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
    scratch : str, optional
        Where to make the scratch directory.
    """

    def __init__(self, begun: Begun, session: Session, resident: Resident, scratch: str | None = None) -> None:
        self._begun = begun
        self._session = session
        self._aside = resident.aside
        self._scratch = scratch
        self._course = Course(resident)

    def stop(self) -> None:
        """End the command, as Ctrl-C would."""
        self._course.stop()

    def outcome(self, reporter: Reporter) -> Outcome:
        """Run the command and return what came of it; it is cancelled when it was stopped."""
        started = time.time()
        try:
            outcome = self._outcome(reporter)
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

    def _outcome(self, reporter: Reporter) -> Outcome:
        plan: Plan = pickle.loads(self._begun.plan)
        place_at(plan, self._begun.directory)
        planner = planner_for(self._session)
        path = self._begun.path
        if plan.request.there is not None:
            plan.around, path = around(), f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{path}"
        check(plan, planner, path)
        ended = Ended(Job(plan), absent_paths(plan.request.argv))
        if not plan.is_staged:
            return self._run(plan, planner, ended, None, path, reporter)
        copy = copy_from(self._session.store)
        scratch = Scratch(plan.request.scratch or self._scratch)
        try:
            plan.stdin = stdin_at(plan.stdin, scratch, copy)
            ended.stager = prepare(plan, scratch, copy)
            return self._run(plan, planner, ended, scratch, path, reporter)
        finally:
            scratch.remove()

    def _run(
        self, plan: Plan, planner: Planner, ended: Ended, scratch: Scratch | None, path: str, reporter: Reporter
    ) -> Outcome:
        spool = self._aside.file(os.urandom(8).hex())
        try:
            message = self._course.run(plan, scratch, path, spool, reporter.write)
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


def _service(place: str) -> Service:
    with _lock:
        if place not in _services:
            _services[place] = Service(Place(place))
        return _services[place]


def _resident(scratch: str | None) -> Resident:
    with _lock:
        if scratch not in _residents:
            _residents[scratch] = Resident(scratch)
        return _residents[scratch]


def _name() -> str:
    from distributed import get_worker

    try:
        return str(get_worker().name)
    except ValueError:
        return f"process {os.getpid()}"


def _address() -> str:
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return ""
