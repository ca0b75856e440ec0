"""Packing calls into batches, and what happens with their results.

A Dask task costs about a millisecond, a trivial call a microsecond. So calls of one function travel together, as many
as take a tenth of a second by what the last ones took; the first travel alone. Results are recorded a batch at a time.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future as PlainFuture
from queue import SimpleQueue
from typing import Any

from offload.compute.calls import Call, explain, where
from offload.compute.engine import Engine, EngineLostError, WorkerLostError
from offload.compute.futures import Future
from offload.compute.session import Session
from offload.compute.shipping import Arguments, packed
from offload.compute.worker import Batch, Outcome
from offload.errors import EncodeError, NotRecordedWarning, StorageError
from offload.identity.graph import Graph

TARGET_SECONDS = 0.1
LARGEST, GROWTH = 2000, 8
QUEUED_PER_SLOT = 2


class Work:
    """A call on its way: what to run, the futures that wait for it, and whether it has ended a worker's batch."""

    __slots__ = ("call", "futures", "suspect")

    def __init__(self, call: Call, future: Future[Any]) -> None:
        self.call = call
        self.futures = [future]
        self.suspect = False


class Lane:
    """The waiting calls of one function, and how long the last ones took."""

    def __init__(self, session: Session, graph: Graph, payload: bytes, scratch: bool = False) -> None:
        self.session = session
        self.graph = graph
        self.payload = payload
        self.scratch = scratch
        self.waiting: deque[Work] = deque()
        self.seconds: float | None = None
        self.size = 1

    def next_size(self, slots: int) -> int:
        """Return how many calls the next batch takes."""
        if self.seconds is not None:
            wanted = int(TARGET_SECONDS / max(self.seconds, 1e-6))
            self.size = max(1, min(wanted, self.size * GROWTH, LARGEST))
        # Towards the end the rest is shared out, so that no worker is left with a long batch alone.
        return max(1, min(self.size, -(-len(self.waiting) // slots)))

    def take(self, slots: int) -> list[Work]:
        """Take the works of the next batch. One that may have ended a worker travels alone."""
        works: list[Work] = []
        for _ in range(self.next_size(slots)):
            if works and (works[0].suspect or self.waiting[0].suspect):
                break
            works.append(self.waiting.popleft())
        return works

    def learn(self, outcomes: list[Outcome]) -> None:
        """Take note of how long calls take."""
        mean = sum(o.seconds for o in outcomes) / len(outcomes)
        self.seconds = mean if self.seconds is None else 0.5 * self.seconds + 0.5 * mean


class Batcher:
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
        self._lanes: dict[tuple[str, str, bool], Lane] = {}
        self._works: dict[tuple[str, str], Work] = {}
        self._flying: set[PlainFuture[list[Outcome]]] = set()
        self._events: SimpleQueue[Any] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None

    def add(
        self, session: Session, graph: Graph, payload: Callable[[], bytes], calls: list[tuple[Call, Future[Any]]]
    ) -> None:
        """Take on calls of one function. The same call, already on its way, is not run twice."""
        packed_function = payload()
        new: list[Work] = []
        with self._lock:
            for call, future in calls:
                work = self._works.get((session.home.path, call.transformation))
                if work is None:
                    work = self._works[session.home.path, call.transformation] = Work(call, future)
                    new.append(work)
                else:
                    work.futures.append(future)
            if self._thread is None and not self._here:
                self._thread = threading.Thread(target=self._loop, name="offload-batches", daemon=True)
                self._thread.start()
        if new:
            lane = Lane(session, graph, packed_function, new[0].call.scratch)
            self._events.put(lambda: self._queue(lane, new))

    def run(self) -> None:
        """Work in this thread until nothing is under way; for a batcher made with ``here``."""
        while self._works:
            self._handle(self._events.get())

    def wait(self, timeout: float | None = None) -> int:
        """Wait until nothing is under way, or for `timeout` seconds; return the number of calls still under way."""
        with self._idle:
            self._idle.wait_for(lambda: not self._works, timeout)
            return len(self._works)

    def close(self, kill: bool = False) -> None:
        """End the thread and the engine; with `kill` also what is running, which then is not waited for."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._events.put(None)
            thread.join()
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.kill() if kill else engine.close()

    def leave(self) -> None:
        """Let go of everything in a child of this process: what was begun is the parent's."""
        if self._engine is not None:
            self._engine.leave()

    def _loop(self) -> None:
        while (event := self._events.get()) is not None:
            self._handle(event)

    def _handle(self, event: Callable[[], None]) -> None:
        try:
            event()
            self._dispatch()
        except Exception as exc:  # the engine could not be started, for one: everything that waits must know
            self._fail_all(exc)

    def _queue(self, lane: Lane, works: list[Work]) -> None:
        key = lane.session.home.path, lane.graph.checksum, lane.scratch
        self._lanes.setdefault(key, lane).waiting.extend(works)

    def _dispatch(self) -> None:
        for lane in list(self._lanes.values()):
            while lane.waiting:
                if self._engine is None:
                    self._engine = self._start()
                if len(self._flying) >= QUEUED_PER_SLOT * self._engine.slots:
                    return
                self._send(lane, self._engine)

    def _send(self, lane: Lane, engine: Engine) -> None:
        works: list[Work] = []
        calls: list[Arguments | bytes] = []
        for work in lane.take(engine.slots):
            if not self._begin(lane, work):
                continue
            try:
                calls.append(packed(work.call.args, work.call.kwargs))
            except EncodeError as exc:
                self._deliver(lane, work, error=exc)
            else:
                works.append(work)
        if not works:
            return
        batch = Batch(lane.session.home.path, lane.graph.checksum, lane.payload, calls, lane.scratch)
        try:
            sent = engine.submit(batch)
        except EngineLostError as exc:
            self._lose(engine)
            for work in works:
                self._deliver(lane, work, error=exc)
            return
        self._flying.add(sent)
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
            work.futures = [f for f in work.futures if f.running() or f.set_running_or_notify_cancel()]
            if not work.futures:
                self._forget(lane, work)
            return bool(work.futures)

    def _forget(self, lane: Lane, work: Work) -> None:
        self._works.pop((lane.session.home.path, work.call.transformation), None)
        if not self._works:
            self._idle.notify_all()

    def _finish(self, lane: Lane, works: list[Work], engine: Engine, done: PlainFuture[list[Outcome]]) -> None:
        if done not in self._flying:
            return  # everything has been given up meanwhile
        self._flying.remove(done)
        error = done.exception()
        if isinstance(error, EngineLostError):
            self._lose(engine)
        if isinstance(error, WorkerLostError) and len(works) > 1:
            # One of them ended the worker; which one shows when each is on its own.
            for work in works:
                work.suspect = True
            lane.waiting.extendleft(reversed(works))
            return
        if error is None:
            outcomes = done.result()
            lane.learn(outcomes)
            try:
                record(lane.session, lane.graph, [(w.call, o) for w, o in zip(works, outcomes, strict=True)])
            except Warning as exc:  # where the user has made errors of them
                error = exc
        if error is not None:
            for work in works:
                self._deliver(lane, work, error=error)
            return
        for work, outcome in zip(works, outcomes, strict=True):
            self._deliver(lane, work, outcome)

    def _deliver(
        self, lane: Lane, work: Work, outcome: Outcome | None = None, error: BaseException | None = None
    ) -> None:
        data = None
        if outcome is not None:
            data = outcome.buffer
            if outcome.error is not None:
                error = outcome.raised()
            elif data is None:
                data, error = _stored(lane.session, outcome.checksum or "")
        with self._idle:
            self._forget(lane, work)
            futures = [f for f in work.futures if f.running() or f.set_running_or_notify_cancel()]
        for future in futures:
            if error is not None:
                future.set_exception(error)
            else:
                assert data is not None
                future.set_buffer(data, recalled=False)

    def _fail_all(self, error: BaseException) -> None:
        with self._idle:
            futures = [future for work in self._works.values() for future in work.futures]
            self._works.clear()
            self._lanes.clear()
            self._flying.clear()
            self._idle.notify_all()
        for future in futures:
            if not future.done() and (future.running() or future.set_running_or_notify_cancel()):
                future.set_exception(error)


def _stored(session: Session, checksum: str) -> tuple[bytes | None, StorageError | None]:
    try:
        (data,) = session.store.get([checksum])
    except StorageError as exc:
        return None, exc
    if data is None:
        return None, StorageError("the result was stored and is gone", "submit the call again")
    return data, None


def _inputs_stood_still(call: Call) -> bool:
    try:
        changed = call.changed_file()
    except EncodeError as exc:
        changed = exc.message
    if changed is not None:
        warnings.warn(
            NotRecordedWarning(f"{call.label}: not recorded: {changed} changed while it was used"), stacklevel=3
        )
    return changed is None


def record(session: Session, graph: Graph, done: list[tuple[Call, Outcome]]) -> None:
    """Store and record the results of calls. What cannot be stored is said once, and the results are given back."""
    done = [(call, outcome) for call, outcome in done if outcome.error is None and _inputs_stood_still(call)]
    if not done:
        return
    try:
        small = [outcome.buffer for call, outcome in done if outcome.buffer is not None and not call.scratch]
        session.store.put(small)
        parts, place = explain(session, graph), where()
        session.record([call.entry(o.checksum or "", o.started, o.seconds, place, parts) for call, o in done])
    except (StorageError, EncodeError) as exc:
        warnings.warn(NotRecordedWarning(f"results are returned but not recorded: {exc}"), stacklevel=2)
