"""What a worker tells the job service while a command runs, and how it waits for a service that is away."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from offload.errors import OffloadError, StorageError
from offload.http.client import Client
from offload.jobs.calls.protocol import dump, load
from offload.jobs.commands.protocol import Outcome, Report
from offload.registry.contact import Contact
from offload.registry.deployments import Place

PATIENCE, PAUSE = 60.0, 0.3
IDLE = 30.0
HEARTBEAT, GAP = 0.5, 0.1
PIECE, HELD = 1024 * 1024, 4 * 1024 * 1024
"""Bytes of output in one report, and bytes that wait to be reported before the command has to wait."""

LARGEST = 8 * 1024 * 1024
"""Bytes of output after which a request takes on no more reports."""


class ServiceAwayError(OffloadError):
    """The job service has been away for longer than a worker waits."""


class Service:
    """The job service of a deployment, wherever it is; for all threads of a worker.

    Parameters
    ----------
    place : Place
        The deployment.
    patience : float
        Seconds to wait for a service that is away.
    """

    def __init__(self, place: Place, patience: float = PATIENCE) -> None:
        self._place = place
        self._patience = patience
        self._lock = threading.Lock()
        self._client: Client | None = None

    def ask(self, path: str, message: object) -> Any:
        """Send a message and return the answer.

        Raises
        ------
        ServiceAwayError
            If there is none for a minute.
        OffloadError
            If the service refuses.
        """
        body = dump(message)
        deadline = time.monotonic() + self._patience
        while True:
            client = None
            try:
                client = self._connected()
                return load(client.call("POST", path, body, idle=IDLE).body)
            except (StorageError, OSError) as exc:
                # A service that was started again may be somewhere else.
                self._forget(client)
                if time.monotonic() > deadline:
                    reason = exc.message if isinstance(exc, OffloadError) else str(exc)
                    raise ServiceAwayError(
                        f"the job service of {self._place.name} has been away for {self._patience:.0f} s: {reason}"
                    ) from exc
            time.sleep(PAUSE)

    def close(self) -> None:
        """Let go of the connections."""
        self._forget(self._client)

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                contact = Contact.read(self._place.contact)
                if contact is None or contact.jobs is None:
                    raise StorageError("it is not up")
                with open(self._place.token, encoding="ascii") as file:
                    self._client = Client(contact.jobs, file.read().strip(), self._place.authority)
            return self._client

    def _forget(self, client: Client | None) -> None:
        with self._lock:
            if client is not None and self._client is client:
                self._client = None
        if client is not None:
            client.close()


class Told:
    """What is told of one attempt.

    Parameters
    ----------
    reporter : Reporter
        Tells it.
    job, attempt : int
        Of what.

    Attributes
    ----------
    refused : bool
        Whether the command is not to go on.
    """

    def __init__(self, reporter: Reporter, job: int, attempt: int) -> None:
        self._reporter = reporter
        self.job = job
        self.attempt = attempt
        self.held = (bytearray(), bytearray())
        self.at = [0, 0]
        self.last: Report | None = None
        self.refused = False

    def write(self, which: int, data: bytes) -> bool:
        """Take output; waits while too much has not been reported yet."""
        with self._reporter.change:
            self._reporter.change.wait_for(lambda: self._reporter.away or sum(map(len, self.held)) < HELD)
            self.held[which].extend(data)
            self._reporter.change.notify_all()
        return True  # what nobody reads is still to be stored

    def finish(self, outcome: Outcome | None, given_up: bool = False, given_back: bool = False) -> None:
        """Have the rest and the outcome reported, with those of others; `Reporter.close` waits for it."""
        with self._reporter.change:
            self.last = Report(
                self.job, self.attempt, 0, 0, outcome=outcome, given_up=given_up, given_back=given_back
            )  # fmt: skip
            self._reporter.change.notify_all()

    @property
    def has_news(self) -> bool:
        """Whether there is anything to be reported."""
        return self.last is not None or any(self.held)

    def next(self) -> Report:
        """Return what is to be reported next."""
        out, err = (bytes(held[:PIECE]) for held in self.held)
        whole = len(out) == len(self.held[0]) and len(err) == len(self.held[1])
        report = self.last if self.last is not None and whole else Report(self.job, self.attempt, 0, 0)
        report.stdout_at, report.stderr_at = self.at
        report.stdout, report.stderr = out, err
        return report

    def drop(self, report: Report) -> None:
        """Let go of the output that has been reported."""
        for which, data in enumerate((report.stdout, report.stderr)):
            del self.held[which][: len(data)]
            self.at[which] += len(data)


class Reporter:
    """Reports on attempts that are made one after the other, from a thread of its own.

    Parameters
    ----------
    ask : callable
        As `Service.ask`.
    attempts : sequence of (int, int)
        The job and the number of each.
    stop : callable
        Called once for each job that the service does not want to go on, or for all when that cannot be asked; in
        another thread.
    look : callable
        Called a few times a second.

    Attributes
    ----------
    told : dict
        What is told of each attempt, by the job.
    change : threading.Condition
        Around all that threads share.
    away : bool
        Whether the service cannot be asked.
    """

    def __init__(
        self,
        ask: Callable[[str, object], Any],
        attempts: Sequence[tuple[int, int]],
        stop: Callable[[int], None],
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self._ask = ask
        self._stop = stop
        self._look = look
        self.change = threading.Condition()
        self.told = {job: Told(self, job, attempt) for job, attempt in attempts}
        self._open = dict(self.told)  # those whose end has not been reported
        self.away = False
        self._all_reported = 0.0  # when a sign of life of all was given
        self._thread = threading.Thread(target=self._run, name=f"offload-report-{attempts[0][0]}", daemon=True)

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def close(self) -> None:
        """Wait until the service has all, or is away for too long. Each attempt has been finished."""
        self._thread.join()

    def _run(self) -> None:
        while not self.away and self._open:
            with self.change:
                if self.change.wait_for(self._has_news, HEARTBEAT):
                    # Some more may follow at once.
                    self.change.wait_for(self._is_urgent, GAP)
            self._look()
            with self.change:
                reports = self._next()
            away = False
            try:
                answers = self._ask("/v1/attempts/report", reports)
            except Exception as exc:  # whatever it is, no command must wait for this thread any more
                why = exc.message if isinstance(exc, OffloadError) else f"{type(exc).__name__}: {exc}"
                sys.stderr.write(f"{_jobs(list(self._open))} given up: {why}\n")
                away, answers = True, [False] * len(reports)
            refused = []
            with self.change:
                self.away = away
                for report, go_on in zip(reports, answers, strict=True):
                    one = self.told[report.job]
                    one.drop(report)
                    if report is one.last:
                        del self._open[report.job]
                    if not go_on and not one.refused:
                        one.refused = True
                        refused.append(report.job)
                self.change.notify_all()
            for job in refused:
                threading.Thread(target=self._stop, args=(job,), name=f"offload-stop-{job}", daemon=True).start()

    def _has_news(self) -> bool:
        return any(one.has_news for one in self._open.values())

    def _is_urgent(self) -> bool:
        """Tell whether it is of no use to wait for more: all have ended, or there is much."""
        return all(one.last is not None for one in self._open.values()) or (
            sum(len(held) for one in self._open.values() for held in one.held) >= PIECE
        )

    def _next(self) -> list[Report]:
        """Return what is new, and now and then a sign of life of all; no more than fits into a request."""
        reports, room, now = [], LARGEST, time.monotonic()
        whole = now - self._all_reported >= HEARTBEAT
        for one in self._open.values():
            if room > 0 and (whole or one.has_news):
                reports.append(one.next())
                room -= len(reports[-1].stdout) + len(reports[-1].stderr)
        if whole:
            self._all_reported = now
        return reports


def _jobs(numbers: Sequence[int]) -> str:
    return f"job {numbers[0]} is" if len(numbers) == 1 else f"jobs {', '.join(map(str, numbers))} are"
