"""The worker's side: run the jobs that it is given, one after the other, and tell the job service of them.

What comes through Dask is where the deployment keeps its files, and the numbers of jobs: no secrets, no plan.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque

from offload.commands.recall import planner_for
from offload.errors import UnseenError
from offload.jobs.commands.protocol import Begin, Begun, Outcome
from offload.jobs.worker.attempt import Attempt, Checks
from offload.jobs.worker.report import Reporter, Service, ServiceAwayError
from offload.jobs.worker.starter import Resident
from offload.registry.deployments import Place
from offload.registry.scope import seen_here
from offload.registry.session import Session, session_at_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from offload.storage.home import Key

HELD_UP, LONGEST = 0.3, 1.0
"""Seconds that one command may take, or all so far, before those that wait behind it are given back."""

_services: dict[str, Service] = {}
_residents: dict[str | None, Resident] = {}
_rounds: set[Round] = set()
_lock = threading.Lock()
_closing = False


def run(place: str, jobs: Sequence[int], home: Key, scratch: str | None = None) -> str:
    """Run jobs, those that are still to be run; the Dask task.

    Parameters
    ----------
    place : str
        The deployment's directory.
    jobs : sequence of int
        Which.
    home : tuple of str
        Where results are kept, as :attr:`offload.storage.home.Home.key` says it.
    scratch : str, optional
        Where to make scratch directories, unless the user has said it; by default ``$TMPDIR``.

    Returns
    -------
    str
        For people who look at the task: what has become of them.
    """
    if not os.path.exists(Place(place).spec):
        # A worker that others have started, or that has joined from another machine.
        raise UnseenError(
            f"{_name()} on {os.uname().nodename} does not see {place}, as workers for commands must", _address()
        )
    service = _service(place)
    try:
        begun = service.ask("/v1/attempts/begin", Begin(tuple(jobs), _name(), os.uname().nodename, os.getpid()))
    except ServiceAwayError as exc:
        return exc.message
    if not begun:
        return "there is nothing to be run any more"
    turn = Round(service.ask, begun, session_at_home(seen_here(home)), _resident(scratch), scratch)
    with _lock:
        _rounds.add(turn)
        if _closing:
            turn.stop()
    try:
        turn.run()
    finally:
        with _lock:
            _rounds.discard(turn)
    return "given up" if turn.stopping else "all is told"


def stop_all() -> None:
    """End every command that runs in this process, and all that begin until `resume`: its worker is closing.

    The job service has them run elsewhere.
    """
    global _closing
    with _lock:
        _closing = True
        rounds = list(_rounds)
    for turn in rounds:
        turn.stop()


def resume() -> None:
    """Run commands again: the worker has closed, and the process may have another one."""
    global _closing
    with _lock:
        _closing = False
        residents = list(_residents.values())
        _residents.clear()
    for resident in residents:
        resident.close()


class Round:
    """Attempts that are made one after the other, in the place of one.

    Parameters
    ----------
    ask : callable
        As `Service.ask`.
    begun : sequence of Begun
        What to run.
    session : Session
        Where the results are stored.
    resident : Resident
        Runs it.
    scratch : str, optional
        Where to make scratch directories.

    Attributes
    ----------
    stopping : bool
        Whether what has not ended is given up.
    """

    def __init__(
        self,
        ask: Callable[[str, object], Any],
        begun: Sequence[Begun],
        session: Session,
        resident: Resident,
        scratch: str | None = None,
    ) -> None:
        self._session = session
        self._resident = resident
        self._scratch = scratch
        self._checks = Checks(planner_for(session))
        self._lock = threading.Lock()
        self._waiting = deque(begun)
        self._current: tuple[int, Attempt] | None = None
        self._began = self._since = time.monotonic()
        self.stopping = False
        attempts = [(one.job, one.attempt) for one in begun]
        self._reporter = Reporter(ask, attempts, self._refuse, self._give_back)

    def run(self) -> None:
        """Make all attempts, and wait until the service knows what came of them."""
        self._reporter.start()
        try:
            while (current := self._next()) is not None:
                job, attempt = current
                told = self._reporter.told[job]
                outcome = attempt.outcome(told)
                given_up = outcome.cancelled and not told.refused
                told.finish(None if given_up else outcome, given_up)
        except BaseException:
            self.stop()
            if self._current is not None:
                self._reporter.told[self._current[0]].finish(None, given_up=True)
            self._next()
            raise
        finally:
            self._reporter.close()

    def stop(self) -> None:
        """End what runs, as Ctrl-C would, and begin no more: all of it is to be run elsewhere."""
        with self._lock:
            if self._current is not None or self._waiting:
                self.stopping = True
            if self._current is not None:
                self._current[1].stop()

    def _next(self) -> tuple[int, Attempt] | None:
        """Return the next job, and what is to run it."""
        with self._lock:
            self._current = None
            while self._waiting:
                begun = self._waiting.popleft()
                told = self._reporter.told[begun.job]
                if told.refused:
                    told.finish(Outcome(cancelled=True))
                elif self.stopping:
                    told.finish(None, given_up=True)
                else:
                    attempt = Attempt(begun, self._session, self._resident, self._checks, self._scratch)
                    self._current, self._since = (begun.job, attempt), time.monotonic()
                    return self._current
            return None

    def _refuse(self, job: int) -> None:
        """End a job that is not to go on; one that waits is passed over when its turn comes."""
        with self._lock:
            if self._current is not None and self._current[0] == job:
                self._current[1].stop()

    def _give_back(self) -> None:
        """Give back what waits, where it would have to wait for long: other workers may be free."""
        now = time.monotonic()
        with self._lock:
            if now - self._since < HELD_UP and now - self._began < LONGEST:
                return
            while self._waiting:  # the last one first: each goes before the others there
                self._reporter.told[self._waiting.pop().job].finish(None, given_back=True)


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
