"""Giving commands to a deployment's job service, and following what becomes of them."""

from __future__ import annotations

import os
import time

from offload.commands.planning.programs import search_path
from offload.errors import StorageError
from offload.jobs.calls.protocol import dump, load
from offload.jobs.commands.protocol import NO_WORKERS, CommandSubmission, Leave, Watch
from offload.storage.retrying import Patience

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType
    from typing import Any, Self

    from offload.commands.planning.fingerprints import Table
    from offload.commands.planning.plan import Plan
    from offload.http.client import Client
    from offload.jobs.commands.follow import Followed
    from offload.jobs.commands.protocol import JobInfo, Look, Outcome, Ticket
    from offload.registry.deployments import Place
    from offload.registry.session import Session
    from offload.storage.store import Store

TELL_AFTER = 2.0
"""Seconds after which the user is told why nothing happens, and between two such lines."""

AGAIN_AFTER = 5.0
"""Seconds after which it is asked again how workers are."""

POLL_SECONDS = 20.0
LOOK_SECONDS = 30.0
LEAVE_SECONDS = 10.0
MARGIN = 20.0
MOST_PLANS = 500


class CommandJobs:
    """A client of a deployment's job service, for commands.

    Parameters
    ----------
    name : str
        The deployment's name.
    connect : callable
        Gives a client of where the service is now; called again when it has gone away.
    say : callable
        Tells the user what is waited for.
    sees_files : bool
        Whether the workers read this machine's files, under the same names.
    there : Session, optional
        The storage that the workers have, where it is not that of this machine.
    patience : Patience, optional
        How the service is waited for.
    workers : callable, optional
        Gives how the workers are, where none is connected; "" where nobody can tell.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Client],
        say: Callable[[str], None],
        sees_files: bool = True,
        there: Session | None = None,
        patience: Patience | None = None,
        workers: Callable[[], str] = lambda: "",
    ) -> None:
        self.name = name
        self.sees_files = sees_files
        self._there = there
        self.client = os.urandom(8).hex()
        self._connect = connect
        self._say = say
        self._patience = patience or Patience(f"the job service of {name}", say)
        self._workers = workers
        self._service: Client | None = None

    def explained(self, reason: str) -> str:
        """Return why a job waits; where it waits for workers, with what is known of these."""
        return reason.replace(NO_WORKERS, (NO_WORKERS in reason and self._workers()) or NO_WORKERS)

    def store(self, session: Session) -> Store:
        """Return the store that the workers have: that of a session, but for a deployment on another machine."""
        return (self._there or session).store

    def submit(self, plans: Sequence[Plan], detach: bool = False) -> list[Ticket]:
        """Give commands to the service.

        Parameters
        ----------
        plans : sequence of Plan
            As :func:`offload.jobs.commands.inputs.complete` leaves them.
        detach : bool
            Whether they go on without a client.
        """
        tickets: list[Ticket] = []
        for start in range(0, len(plans), MOST_PLANS):
            some = list(plans[start : start + MOST_PLANS])
            message = CommandSubmission(self.client, some, os.getcwd(), search_path(), detach)
            tickets += self._ask("", message)
        return tickets

    def follow(self, jobs: Iterable[Followed], seconds: float) -> None:
        """Take in what is new of jobs; wait some seconds for the first."""
        by_number = {one.job: one for one in jobs}
        wanted: dict[int, tuple[int, int] | None] = {n: (one.taken[0], one.taken[1]) for n, one in by_number.items()}
        news = self._ask("/watch", Watch(self.client, wanted, seconds), seconds + MARGIN)
        for number, new in news.items():
            by_number[number].take(new)

    def wait(self, one: Followed, timeout: float | None = None) -> Outcome | None:
        """Follow a job to its end, and tell the user what it waits for; None when it takes too long."""
        begun = time.monotonic()
        tell_at, told = begun + TELL_AFTER, ""
        while one.outcome is None:
            now = time.monotonic()
            left = POLL_SECONDS if timeout is None else max(0.0, begun + timeout - now)
            why = one.reason or (f"running on {one.worker}" if told and one.worker else told)
            changing = NO_WORKERS in why
            if (why != told or changing) and now >= tell_at:
                why = self.explained(why)
                if why != told:
                    self._say(f"job {one.job}: {why}")
                tell_at, told = now + (AGAIN_AFTER if changing else TELL_AFTER), why
            self.follow([one], min(left, POLL_SECONDS if why == told and not changing else tell_at - now))
            if not left and one.outcome is None:
                return None
        return one.outcome

    def programs(self, asked: Look) -> list[tuple[str, Table]]:
        """Return what each machine with workers has under the names of programs; nothing while there are none."""
        found: list[tuple[str, Table]] = self._ask("/programs", asked, LOOK_SECONDS + MARGIN)
        return found

    def leave(self, jobs: Sequence[int]) -> None:
        """Wait for some jobs no longer; what nobody else waits for is cancelled."""
        self._ask("/leave", Leave(self.client, list(jobs)), patience=LEAVE_SECONDS)

    def leave_plans(self, plans: Iterable[Plan]) -> list[JobInfo]:
        """Leave the jobs that plans have become, also where the client was interrupted before it got their numbers.

        Returns
        -------
        list of JobInfo
            Those that have not ended by that: they go on for others, or are just being cancelled.
        """
        mine = {plan.transformation for plan in plans}
        there: list[JobInfo] = self._ask("/list", False, patience=LEAVE_SECONDS)
        self.leave([info.job for info in there if info.transformation in mine])
        there = self._ask("/list", False, patience=LEAVE_SECONDS)
        return [info for info in there if info.transformation in mine]

    def cancel(self, jobs: Sequence[int] | None) -> list[JobInfo]:
        """Cancel some jobs, or all, and return how they are now."""
        found: list[JobInfo] = self._ask("/cancel", None if jobs is None else list(jobs))
        return found

    def listing(self, ended: bool) -> list[JobInfo]:
        """Return the jobs that there are, with those that have ended or without them."""
        found: list[JobInfo] = self._ask("/list", ended)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        service, self._service = self._service, None
        if service is not None:
            service.close()

    def _ask(self, what: str, message: object, idle: float | None = None, patience: float | None = None) -> Any:
        """Send a message and return the answer; where the service is away, look for it again for a while."""
        body = dump(message)

        def ask() -> Any:
            if self._service is None:
                self._service = self._connect()
            try:
                return load(self._service.call("POST", f"/v1/commands{what}", body, idle=idle).body)
            except StorageError:
                service, self._service = self._service, None  # it may be somewhere else by now
                if service is not None:
                    service.close()
                raise

        return self._patience.ask(ask, seconds=patience)


def connected(place: Place, say: Callable[[str], None]) -> CommandJobs:
    """Return a client of a deployment's job service. It connects when it is first used."""
    from offload.jobs.commands.inputs import visible
    from offload.registry.connect import connect
    from offload.registry.session import session_there
    from offload.registry.waiting import patience_for

    def workers() -> str:
        from offload.jobs.waits import asked

        return "; ".join(found.removeprefix("it waits: ") for found in asked(place, "it", True))

    patience = patience_for(place, "job service", say)
    return CommandJobs(place.name, lambda: connect(place), say, visible(place), session_there(place), patience, workers)
