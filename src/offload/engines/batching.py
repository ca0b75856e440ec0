"""Sending calls in batches, and what happens with their results, which are recorded a batch at a time."""

from __future__ import annotations

import functools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future as PlainFuture
from math import inf
from queue import Empty, SimpleQueue
from typing import Any

from offload.engines.base import Engine
from offload.engines.dispatcher import Dispatcher
from offload.engines.queue import Lane, Work
from offload.errors import EncodeError, EngineLostError, OffloadError, StorageError, TakenBackError, WorkerLostError
from offload.registry.session import Session
from offload.storage.claims import UNKNOWN
from offload.tasks.call import Call
from offload.tasks.claims import LONGEST, TELL_AFTER, may_go_on, most, never_wait, tell, told, too_long
from offload.tasks.futures import Future
from offload.tasks.recording import record
from offload.transport.batch import Batch, Packed
from offload.transport.exceptions import CarriedError
from offload.transport.function import ShippedFunction
from offload.transport.outcome import Outcome
from offload.util.resources import Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.engines.errands import Errand, Told

QUEUED_PER_SLOT = 2
MOST_CLAIMS = 256  # at once: so many are under way only of calls that take less time than it takes to claim many
MOST_LANES = 100  # remembered for what they know of their calls
LOST_PAUSE = 0.5
UNKNOWN_SECONDS = 0.5  # what a call may take of which nothing is known yet; Dask's own guess
LARGEST_BYTES = 4 * 1024 * 1024


class Batcher(Dispatcher):
    """Sends work to an engine in batches, from a thread of its own.

    Parameters
    ----------
    start : callable
        Starts the engine; called when the first work comes.
    here : bool
        Do without the thread: whoever adds calls then calls :meth:`run`.
    """

    def __init__(self, start: Callable[[], Engine], here: bool = False) -> None:
        self._start = start
        self._here = here
        self._engine: Engine | None = None
        self._lanes: dict[tuple[Any, ...], Lane] = {}
        self._works: dict[tuple[str, ...], Work] = {}
        self._counts: Counter[tuple[str, str, Resources]] = Counter()  # of these, by what is told of them
        self._flying: dict[PlainFuture[list[Outcome]], Resources] = {}
        self._claimed: set[Work] = set()
        self._alone = False
        self._look_at = 0.0
        self._waits_since: float | None = None
        self._events: SimpleQueue[Any] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None

    def add(self, session: Session, function: ShippedFunction, calls: list[tuple[Call, Future[Any]]]) -> None:
        """Take on calls of one function. The same call, already on its way, is not run twice."""
        new: list[Work] = []
        packed: list[tuple[Call, Future[Any], Packed]] = []
        for call, future in calls:
            try:
                packed.append((call, future, call.packed()))
            except EncodeError as exc:
                if future.set_running_or_notify_cancel():
                    future.set_exception(exc)
        with self._lock:
            for call, future, arguments in packed:
                key = (*session.home.key, call.transformation)
                work = self._works.get(key)
                if work is None:
                    work = self._works[key] = Work(key, call, future, arguments, function.resources)
                    new.append(work)
                    self._counts[_kind(work)] += 1
                else:
                    work.futures.append(future)
                future.on_cancel = functools.partial(self._cancelled, work)
            if self._thread is None and not self._here:
                self._thread = threading.Thread(target=self._loop, name="offload-batches", daemon=True)
                self._thread.start()
        if new:
            lane = Lane(session, function, new[0].call.scratch)
            self._events.put(lambda: self._queue(lane, new))

    def _cancelled(self, work: Work, running: bool) -> None:
        self._events.put(lambda: self._drop(work))

    def _drop(self, work: Work) -> None:
        """Let go of a work that nobody waits for any more; where it has not been sent, it will not be."""
        with self._idle:
            if work.is_wanted or self._works.get(work.key) is not work:  # by others; or it has ended
                return
            self._forget(work)
        if work.sent is not None and work.sent[0] in self._flying and self._engine is not None:
            self._engine.cancel(*work.sent)

    def run(self) -> None:
        """Work in this thread until nothing is under way; for a batcher made with ``here``."""
        while self._works:
            self._handle(self._events.get())

    def unfinished(self, timeout: float | None = None) -> int:
        """Wait until nothing is under way, or for `timeout` seconds; return the number of calls that still are."""
        with self._idle:
            self._idle.wait_for(lambda: not self._works, timeout)
            return len(self._works)

    def exchange(self, asked: Errand) -> Told | str:
        """Exchange something with a process on the machine of a worker, or say why that cannot be."""
        from offload.engines.errands import GONE

        engine = self._engine
        return GONE if engine is None else engine.exchange(asked)

    def load(self) -> tuple[dict[str, int], dict[Resources, tuple[int, float]]]:
        """Return how many calls are under way of each label, and of those that need the same resources.

        With the latter comes how many seconds they may take in all, by what is known.
        """
        with self._lock:
            counts = self._counts.copy()
        known = {lane.function.checksum: lane.seconds for lane in list(self._lanes.values())}
        labels: Counter[str] = Counter()
        demand: dict[Resources, tuple[int, float]] = {}
        for (label, function, resources), count in counts.items():
            labels[label] += count
            before, seconds = demand.get(resources, (0, 0.0))
            demand[resources] = before + count, seconds + count * (known.get(function) or UNKNOWN_SECONDS)
        return dict(labels), demand

    def close(self, kill: bool = False) -> None:
        """End the thread and the engine; with `kill` also what is running, which then is not waited for."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._events.put(None)
            thread.join()
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.kill() if kill else engine.close()

    def give_up(self, error: Exception) -> None:
        """End thread and engine, and fail all that is under way."""
        self.close(kill=True)
        self._fail_all(error)

    def leave(self) -> None:
        """Let go of everything in a child of this process: what was begun is the parent's."""
        if self._engine is not None:
            self._engine.leave()

    def _loop(self) -> None:
        never_wait()  # in callbacks of futures, for calls that this thread is to bring to their end
        while (event := self._next_event()) is not None:
            self._handle(event)

    def _next_event(self) -> Callable[[], None] | None:
        """Return what has happened; nothing but time, where others compute what is wanted here."""
        waits = any(lane.aside for lane in self._lanes.values())
        try:
            event: Callable[[], None] | None = self._events.get(timeout=LONGEST if waits else None)
        except Empty:
            return self._look_aside
        return event

    def _handle(self, event: Callable[[], None]) -> None:
        try:
            event()
            self._dispatch()
        except Exception as exc:  # the engine could not be started, for one: everything that waits must know
            self._fail_all(exc)

    def _queue(self, lane: Lane, works: list[Work]) -> None:
        key = (
            *lane.session.home.key,
            lane.function.checksum,
            lane.function.snapshot,
            lane.function.environment,
            lane.function.watched,
            lane.scratch,
            lane.resources,
            lane.function.limits,
            lane.function.python,
            lane.function.program,
        )
        self._lanes.setdefault(key, lane).waiting.extend(works)

    def _dispatch(self) -> None:
        """Send as much as the engine takes, one batch of each function in turn."""
        if time.monotonic() > self._look_at:
            self._look_aside()
        full: set[Resources] = set()  # what those that wait for a few workers leave free is for the others
        while lanes := [lane for lane in self._lanes.values() if lane.waiting and lane.resources not in full]:
            for lane in lanes:
                if self._engine is None:
                    self._engine = self._start()
                engine = self._engine
                try:
                    slots = engine.slots(lane.resources)
                except EngineLostError:
                    self._lose(engine)
                    if not engine.resumes:
                        raise
                    time.sleep(LOST_PAUSE)
                    continue
                # Dask blames all that waits on a worker for its end. So who may have ended one flies alone.
                suspect = bool(lane.waiting) and lane.waiting[0].suspect
                if self._alone or (suspect and self._flying):
                    return
                if list(self._flying.values()).count(lane.resources) >= QUEUED_PER_SLOT * slots:
                    full.add(lane.resources)
                    continue
                self._send(lane, engine, slots)
                self._alone = suspect and bool(self._flying)
        if not self._flying and len(self._lanes) > MOST_LANES:
            self._lanes = {key: lane for key, lane in self._lanes.items() if lane.aside}

    def _look_aside(self) -> None:
        """Take back what others have done with, or cannot go on with while this process waits."""
        self._look_at = time.monotonic() + LONGEST
        for lane in self._lanes.values():
            done = []
            for work in lane.aside:
                transformation = work.call.transformation
                holder = lane.session.claims.holder(transformation)
                is_late = time.monotonic() > work.until
                if is_late and holder is not None:
                    tell(too_long(work.call.label, holder, most()))
                if not work.is_wanted or holder is None or is_late or not may_go_on(holder):
                    work.waited = True
                    done.append(work)
            if done:
                lane.aside = [work for work in lane.aside if not work.waited]
                lane.waiting.extendleft(reversed(self._without_recorded(lane, done)))
        self._tell_of_waiting()

    def _tell_of_waiting(self) -> None:
        """Say once for whom is waited, where nothing else has gone on for a while."""
        waits = next((lane for lane in self._lanes.values() if lane.aside), None)
        if waits is None or self._flying:
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = time.monotonic()
        elif self._waits_since + TELL_AFTER < time.monotonic():
            self._waits_since = inf
            call = waits.aside[0].call
            tell(told(call.label, waits.session.claims.holder(call.transformation) or UNKNOWN))

    def _claim(self, lane: Lane, work: Work) -> bool:
        """Claim a work that is to be sent; False when another process is computing it."""
        if work.claims is not None or work.waited or lane.scratch or len(self._claimed) >= MOST_CLAIMS:
            return True
        claims = lane.session.claims
        if claims.take(work.call.transformation):
            work.claims = claims
            self._claimed.add(work)
            return True
        return self._here  # what is part of a call does not wait

    def _without_recorded(self, lane: Lane, works: list[Work]) -> list[Work]:
        """Give back the results that others have recorded since they were looked up; return the other works."""
        try:
            found = lane.session.recall([work.call.transformation for work in works])
        except OffloadError:  # told where the results cannot be recorded
            return works
        for work, data in zip(works, found, strict=True):
            if data is not None:
                self._deliver(lane, work, recalled=data)
        return [work for work, data in zip(works, found, strict=True) if data is None]

    def _send(self, lane: Lane, engine: Engine, slots: int) -> None:
        works: list[Work] = []
        size, taken = 0, deque(lane.take(slots))
        while taken and size < LARGEST_BYTES:
            work = taken.popleft()
            if not self._claim(lane, work):
                work.until = time.monotonic() + most()
                lane.aside.append(work)
            elif self._begin(lane, work):
                works.append(work)
                size += len(work.arguments) if not isinstance(work.arguments, tuple) else 0
        lane.waiting.extendleft(reversed(taken))
        if works:
            works = self._without_recorded(lane, works)
        if not works:
            return
        batch = Batch(lane.session.home, lane.function, [work.arguments for work in works], lane.scratch)
        try:
            sent = engine.submit(batch)
        except EngineLostError as exc:
            self._lose(engine)
            if engine.resumes:
                lane.waiting.extendleft(reversed(works))
                return
            for work in works:
                self._deliver(lane, work, error=exc)
            return
        for place, work in enumerate(works):
            work.sent = sent, place
        self._flying[sent] = lane.resources
        sent.add_done_callback(lambda done: self._landed(lane, works, engine, done))

    def _lose(self, engine: Engine) -> None:
        """Do without an engine that is gone; the next batch starts another."""
        if self._engine is engine:
            self._engine = None
            engine.kill()

    def _landed(self, lane: Lane, works: list[Work], engine: Engine, done: PlainFuture[list[Outcome]]) -> None:
        self._events.put(lambda: self._finish(lane, works, engine, done))

    def _begin(self, lane: Lane, work: Work) -> bool:
        """Tell whether anybody still wants this work."""
        with self._idle:
            work.futures = [f for f in work.futures if f.set_running_or_notify_cancel()]
            if not work.futures:
                self._forget(work)
            return bool(work.futures)

    def _forget(self, work: Work) -> None:
        work.let_go()
        self._claimed.discard(work)
        if self._works.get(work.key) is work:  # and no other, after it was cancelled
            del self._works[work.key]
            self._counts[_kind(work)] -= 1
            if not self._counts[_kind(work)]:
                del self._counts[_kind(work)]
        if not self._works:
            self._idle.notify_all()

    def _finish(self, lane: Lane, works: list[Work], engine: Engine, done: PlainFuture[list[Outcome]]) -> None:
        if done not in self._flying:
            return  # everything has been given up meanwhile
        del self._flying[done]
        self._alone = False
        error = done.exception()
        if isinstance(error, EngineLostError):
            self._lose(engine)
            if engine.resumes:
                lane.waiting.extendleft(reversed(works))
                return
        if isinstance(error, TakenBackError):
            lane.waiting.extendleft(reversed(works))
            return
        if isinstance(error, WorkerLostError) and not works[0].suspect:
            # One of those on the worker has ended it; which one shows when each is on its own.
            for work in works:
                work.suspect = True
            lane.waiting.extendleft(reversed(works))
            return
        if error is None:
            outcomes = done.result()
            lane.learn([outcome for work, outcome in zip(works, outcomes, strict=True) if work.is_wanted])
            try:
                lane.function.tell(works[0].call.label, outcomes)
                record(lane.session, lane.function.explain, [(w.call, o) for w, o in zip(works, outcomes, strict=True)])
            except Warning as exc:  # where the user has made errors of them
                error = exc
        if error is not None:
            for work in works:
                self._deliver(lane, work, error=error)
            return
        for work, outcome in zip(works, outcomes, strict=True):
            self._deliver(lane, work, outcome)

    def _deliver(
        self,
        lane: Lane,
        work: Work,
        outcome: Outcome | None = None,
        error: BaseException | None = None,
        recalled: bytes | None = None,
    ) -> None:
        data = recalled
        if outcome is not None:
            data = outcome.buffer
            if outcome.error is not None:
                error = CarriedError(outcome.error)
            elif data is None:
                data, error = _stored(lane.session, outcome.checksum or "")
        with self._idle:
            self._forget(work)
            futures = [f for f in work.futures if f.set_running_or_notify_cancel()]
        for future in futures:
            if outcome is not None:
                future.effects, future.unrecorded = outcome.effects, outcome.unrecorded
            if isinstance(error, CarriedError):
                future.set_raised(error.raised)
            elif error is not None:
                future.set_exception(error)
            else:
                assert data is not None
                future.set_buffer(data, recalled=recalled is not None)

    def _fail_all(self, error: BaseException) -> None:
        with self._idle:
            for work in self._works.values():
                work.let_go()
            futures = [future for work in self._works.values() for future in work.futures]
            self._works.clear()
            self._counts.clear()
            self._claimed.clear()
            self._lanes.clear()
            self._flying.clear()
            self._alone = False
            self._idle.notify_all()
        for future in futures:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)


def _kind(work: Work) -> tuple[str, str, Resources]:
    return work.call.label, work.call.function, work.resources


def _stored(session: Session, checksum: str) -> tuple[bytes | None, StorageError | None]:
    try:
        (data,) = session.store.get([checksum])
    except StorageError as exc:
        return None, exc
    if data is None:
        return None, StorageError("the result was stored and is gone", "submit the call again")
    return data, None
