"""What a worker tells the job service while a command runs, and how it waits for a service that is away."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
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


class Reporter:
    """Reports on one attempt from a thread of its own.

    Parameters
    ----------
    ask : callable
        As `Service.ask`.
    job, attempt : int
        What is reported on.
    stop : callable
        Called once, in another thread, when the service does not want the command to go on, or cannot be asked.

    Attributes
    ----------
    refused : bool
        Whether the command is not to go on.
    away : bool
        Whether that is because the service cannot be asked.
    """

    def __init__(self, ask: Callable[[str, object], Any], job: int, attempt: int, stop: Callable[[], None]) -> None:
        self._ask = ask
        self._job = job
        self._attempt = attempt
        self._stop = stop
        self._change = threading.Condition()
        self._held = (bytearray(), bytearray())
        self._at = [0, 0]
        self._last: Report | None = None
        self.refused = False
        self.away = False
        self._thread = threading.Thread(target=self._run, name=f"offload-report-{job}", daemon=True)

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def write(self, which: int, data: bytes) -> bool:
        """Take output; waits while too much has not been reported yet."""
        with self._change:
            self._change.wait_for(lambda: self.away or sum(map(len, self._held)) < HELD)
            self._held[which].extend(data)
            self._change.notify_all()
        return True  # what nobody reads is still to be stored

    def finish(self, outcome: Outcome | None, given_up: bool = False) -> None:
        """Report the rest and the outcome, and wait until the service has it, or is away for too long."""
        with self._change:
            self._last = Report(self._job, self._attempt, 0, 0, outcome=outcome, given_up=given_up)
            self._change.notify_all()
        self._thread.join()

    def _run(self) -> None:
        report = None
        while not self.away and (report is None or report is not self._last):
            with self._change:
                if self._change.wait_for(lambda: self._last is not None or any(self._held), HEARTBEAT):
                    # Some more may follow at once.
                    self._change.wait_for(lambda: self._last is not None or sum(map(len, self._held)) >= PIECE, GAP)
                report = self._next()
            away = False
            try:
                go_on = self._ask("/v1/attempts/report", report)
            except OffloadError as exc:
                sys.stderr.write(f"job {self._job} is given up: {exc.message}\n")
                away, go_on = True, False
            with self._change:
                self.away = away
                for which, data in enumerate((report.stdout, report.stderr)):
                    del self._held[which][: len(data)]
                    self._at[which] += len(data)
                self._change.notify_all()
            if not go_on and not self.refused:
                self.refused = True
                threading.Thread(target=self._stop, name=f"offload-stop-{self._job}", daemon=True).start()

    def _next(self) -> Report:
        out, err = (bytes(held[:PIECE]) for held in self._held)
        whole = len(out) == len(self._held[0]) and len(err) == len(self._held[1])
        report = self._last if self._last is not None and whole else Report(self._job, self._attempt, 0, 0)
        report.stdout_at, report.stderr_at = self._at
        report.stdout, report.stderr = out, err
        return report
