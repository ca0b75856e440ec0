"""Which jobs are on their way to workers or run there, kept by a thread that talks to the carrier."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future as PlainFuture
from queue import Empty, SimpleQueue
from typing import Any

from offload.errors import EngineLostError, OffloadError, UnseenError, WorkerLostError
from offload.jobs.commands.carrier import Carrier
from offload.util.resources import Resources, UnmetError

RETURNED, LOST, GONE, REFUSED, UNSEEN, FAILED = "returned", "lost", "gone", "refused", "unseen", "failed"
"""How a flight ends: its worker is through; its worker ended; the carrier is gone; no worker for it; its worker is one
that cannot; our fault."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.commands.planning.fingerprints import Table
    from offload.jobs.commands.protocol import Look

Landed = Callable[[int, str, str], None]
LOOK_EVERY, PAUSE, END_SECONDS = 1.0, 0.5, 20.0
LOOK_SECONDS = 20.0
"""For so long, a carrier to be asked for programs is waited for."""


class Flights:
    """Gives jobs to a carrier, and starts another one when that is gone.

    Parameters
    ----------
    start : callable
        Starts a carrier; called when the first job comes, and again when a carrier is gone.
    landed : callable
        Is told in a thread of the carrier's: the number of a job, how its flight has ended, and what there is to say.

    Attributes
    ----------
    trouble : str
        Why no job can be given to workers now, for the user; "" when they can.
    obstacle : str
        Why none of the workers that there are can run commands; "" where one can.
    workers : int
        How many commands can run at the same time, when that was last looked at.
    """

    def __init__(self, start: Callable[[], Carrier], landed: Landed) -> None:
        self._start = start
        self._tell = landed
        self._carrier: Carrier | None = None
        self._waiting: deque[tuple[list[int], Resources]] = deque()
        self._flying: dict[int, PlainFuture[Any]] = {}
        self._fly_with: Counter[PlainFuture[Any]] = Counter()  # how many of each have not been dropped
        self._events: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._closed = False
        self._looked = 0.0
        self.trouble = ""
        self.obstacle = ""
        self.workers = 0

    def launch(self, jobs: Sequence[int], resources: Resources = ()) -> None:
        """Have jobs run, one after the other, by a worker that has such resources."""
        self._begin()
        self._events.put(lambda: self._waiting.append((list(jobs), resources)))

    def _begin(self) -> None:
        with self._starting:
            if self._thread is None and not self._closed:
                self.trouble = "the scheduler is being asked"
                self._thread = threading.Thread(target=self._loop, name="offload-commands", daemon=True)
                self._thread.start()

    def drop(self, job: int) -> None:
        """Let go of a job; nobody is told of the end of its flight, which goes on for those that it flies with."""
        self._events.put(lambda: self._drop(job))

    def death_of(self, worker: str) -> str:
        """Return how a worker has ended; "" where nobody knows."""
        carrier = self._carrier
        return carrier.death_of(worker) if carrier is not None else ""

    def look(self, asked: Look) -> list[tuple[str, Table]]:
        """Return what workers tell of their programs; nothing while there are none, or none can be asked."""
        lent: PlainFuture[Carrier] = PlainFuture()
        self._begin()
        self._events.put(lambda: self._lend(lent))
        try:
            return lent.result(LOOK_SECONDS).look(asked)
        except (OffloadError, TimeoutError):
            return []

    def _lend(self, lent: PlainFuture[Carrier]) -> None:
        if self._started():
            assert self._carrier is not None
            lent.set_result(self._carrier)
        else:
            lent.set_exception(OffloadError(self.trouble))

    def close(self) -> None:
        """End the thread and the carrier."""
        with self._starting:  # a job that comes now must not start another
            self._closed = True
        if self._thread is not None:
            self._events.put(None)
            self._thread.join(END_SECONDS)  # a daemon: one that waits for a scheduler ends with the process

    def _loop(self) -> None:
        while True:
            event: Callable[[], None] | None
            try:
                event = self._events.get(timeout=LOOK_EVERY)
            except Empty:
                event = self._look
            if event is None:
                break
            try:
                event()
                self._advance()
                if time.monotonic() - self._looked > LOOK_EVERY:
                    self._look()
            except EngineLostError:
                self._lose()
        if self._carrier is not None:
            self._carrier.close()

    def _look(self) -> None:
        self._looked = time.monotonic()
        if self._carrier is not None and (self._flying or self._waiting):
            self.workers = self._carrier.workers
            self.obstacle = self._carrier.obstacle

    def _advance(self) -> None:
        """Give to the carrier what waits for it."""
        while self._waiting:
            if not self._started():
                time.sleep(PAUSE)
                return
            assert self._carrier is not None
            if self._carrier.holds and (found := self._carrier.obstacle):
                self.obstacle = found
                return
            jobs, resources = self._waiting[0]
            if jobs:  # else all of them were dropped
                self._carry(self._carrier, jobs, resources)
            self._waiting.popleft()

    def _started(self) -> bool:
        """Have a carrier, if one can be had; else note why not."""
        if self._carrier is None:
            try:
                self._carrier = self._start()
            except Exception as exc:  # whatever it is, users see what they wait for, and it is tried again
                said = f"{exc.message}; {exc.hint}" if isinstance(exc, OffloadError) and exc.hint else str(exc)
                self.trouble = f"the scheduler is away: {said}"
                return False
            self.workers = self._carrier.workers
            self.trouble = ""
        return True

    def _carry(self, carrier: Carrier, jobs: list[int], resources: Resources) -> None:
        future = carrier.carry(jobs, resources)
        self._flying.update(dict.fromkeys(jobs, future))
        self._fly_with[future] = len(jobs)
        future.add_done_callback(lambda done: self._events.put(lambda: self._all_landed(jobs, done)))

    def _all_landed(self, jobs: list[int], done: PlainFuture[Any]) -> None:
        landed = [job for job in jobs if self._flying.get(job) is done]  # else it was dropped
        for job in landed:
            del self._flying[job]
        self._fly_with.pop(done, None)
        if landed and self._carrier is not None:
            self._carrier.drop(done)
        for job in landed:
            self._landed(job, done.exception())

    def _landed(self, job: int, error: BaseException | None) -> None:
        if error is None:
            self._tell(job, RETURNED, "")
        elif isinstance(error, WorkerLostError):
            self._tell(job, LOST, "")
        elif isinstance(error, EngineLostError):
            self._tell(job, GONE, "")
            self._lose()
        elif isinstance(error, UnseenError):
            self._tell(job, UNSEEN, error.message)
        elif isinstance(error, UnmetError):
            self._tell(job, REFUSED, error.message)
        else:
            self._tell(job, FAILED, f"{type(error).__name__}: {error}")

    def _drop(self, job: int) -> None:
        for jobs, _ in self._waiting:
            if job in jobs:
                jobs.remove(job)
        future = self._flying.pop(job, None)
        if future is None:
            return
        self._fly_with[future] -= 1
        if not self._fly_with[future]:
            del self._fly_with[future]
            if self._carrier is not None:
                self._carrier.drop(future)

    def _lose(self) -> None:
        """Do without a carrier that is gone; the next job starts another."""
        carrier, self._carrier = self._carrier, None
        if carrier is None:
            return
        self.trouble = "the scheduler is away"
        flying, self._flying = list(self._flying), {}
        self._fly_with.clear()
        carrier.close()
        for job in flying:
            self._tell(job, GONE, "")
