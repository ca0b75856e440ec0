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
from offload.compute.engine import Engine
from offload.compute.futures import Future
from offload.compute.session import Session
from offload.compute.worker import Batch, Outcome
from offload.errors import EncodeError, NotRecordedWarning, StorageError
from offload.identity.graph import Graph

TARGET_SECONDS = 0.1
LARGEST, GROWTH = 2000, 8
QUEUED_PER_SLOT = 2


class Work:
    """A call on its way: what to run, and the futures that wait for it."""

    __slots__ = ("call", "futures")

    def __init__(self, call: Call, future: Future[Any]) -> None:
        self.call = call
        self.futures = [future]


class Lane:
    """The waiting calls of one function, and how long the last ones took."""

    def __init__(self, session: Session, graph: Graph, payload: bytes) -> None:
        self.session = session
        self.graph = graph
        self.payload = payload
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
    """

    def __init__(self, start: Callable[[], Engine]) -> None:
        self._start = start
        self._engine: Engine | None = None
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._works: dict[tuple[str, str], Work] = {}
        self._flying = 0
        self._events: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None

    def add(
        self, session: Session, graph: Graph, payload: Callable[[], bytes], calls: list[tuple[Call, Future[Any]]]
    ) -> None:
        """Take on calls of one function. The same call, already on its way, is not run twice."""
        home = session.home.path
        new: list[Work] = []
        with self._lock:
            for call, future in calls:
                work = self._works.get((home, call.transformation))
                if work is None:
                    work = self._works[home, call.transformation] = Work(call, future)
                    new.append(work)
                else:
                    work.futures.append(future)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="offload-batches", daemon=True)
                self._thread.start()
        if new:
            packed = payload()
            self._events.put(lambda: self._queue(session, graph, packed, new))

    def wait(self, timeout: float | None = None) -> int:
        """Wait until nothing is under way, or for `timeout` seconds; return the number of calls still under way."""
        with self._idle:
            self._idle.wait_for(lambda: not self._works, timeout)
            return len(self._works)

    def close(self) -> None:
        """End the thread and the engine."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._events.put(None)
            thread.join()
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _loop(self) -> None:
        while (event := self._events.get()) is not None:
            try:
                event()
                self._dispatch()
            except Exception as exc:  # the engine could not be started, or is gone: everything that waits must know
                self._fail_all(exc)

    def _queue(self, session: Session, graph: Graph, payload: bytes, works: list[Work]) -> None:
        key = session.home.path, graph.checksum
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(session, graph, payload)
        lane.waiting.extend(works)

    def _dispatch(self) -> None:
        if self._engine is None:
            self._engine = self._start()
        slots = self._engine.slots
        for lane in list(self._lanes.values()):
            while lane.waiting and self._flying < QUEUED_PER_SLOT * slots:
                works = [lane.waiting.popleft() for _ in range(lane.next_size(slots))]
                works = [work for work in works if self._begin(lane, work)]
                if not works:
                    continue
                calls = [(work.call.args, work.call.kwargs) for work in works]
                self._flying += 1
                sent = self._engine.submit(Batch(lane.session.home.path, lane.graph.checksum, lane.payload, calls))
                sent.add_done_callback(lambda done, lane=lane, works=works: self._landed(lane, works, done))  # type: ignore[misc]

    def _landed(self, lane: Lane, works: list[Work], done: PlainFuture[list[Outcome]]) -> None:
        self._events.put(lambda: self._finish(lane, works, done))

    def _begin(self, lane: Lane, work: Work) -> bool:
        """Tell whether anybody still wants this work."""
        with self._idle:
            wanted = [f for f in work.futures if f.set_running_or_notify_cancel()]
            if wanted:
                work.futures = wanted
                return True
            self._forget(lane, work)
            return False

    def _forget(self, lane: Lane, work: Work) -> None:
        self._works.pop((lane.session.home.path, work.call.transformation), None)
        if not self._works:
            self._idle.notify_all()

    def _finish(self, lane: Lane, works: list[Work], done: PlainFuture[list[Outcome]]) -> None:
        self._flying -= 1
        error = done.exception()
        if error is not None:
            for work in works:
                self._deliver(lane, work, error=error)
            return
        outcomes = done.result()
        lane.learn(outcomes)
        record(lane.session, lane.graph, [(w.call, o) for w, o in zip(works, outcomes, strict=True)])
        for work, outcome in zip(works, outcomes, strict=True):
            self._deliver(lane, work, outcome)

    def _deliver(
        self, lane: Lane, work: Work, outcome: Outcome | None = None, error: BaseException | None = None
    ) -> None:
        with self._idle:
            self._forget(lane, work)
            futures = work.futures
        error = error or (outcome.error if outcome is not None else None)
        data = outcome.buffer if outcome is not None else None
        if error is None and data is None:
            assert outcome is not None
            assert outcome.checksum is not None
            (data,) = lane.session.store.get([outcome.checksum])
        for future in futures:
            if future.done():
                continue
            if error is not None or data is None:
                future.set_exception(
                    error or StorageError("the result was stored and is gone", "submit the call again")
                )
            else:
                future.set_buffer(data, recalled=False)

    def _fail_all(self, error: BaseException) -> None:
        with self._idle:
            works = list(self._works.values())
            self._works.clear()
            self._lanes.clear()
            self._flying = 0
            self._idle.notify_all()
        for work in works:
            for future in work.futures:
                if not future.done() and (future.running() or future.set_running_or_notify_cancel()):
                    future.set_exception(error)


def _inputs_stood_still(call: Call) -> bool:
    changed = call.changed_file()
    if changed is not None:
        warnings.warn(
            NotRecordedWarning(f"{call.label}: {changed} changed while it was used: not recorded"), stacklevel=3
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
