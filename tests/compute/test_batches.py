"""Packing calls into batches, with engines that run nothing or run here."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future as PlainFuture
from typing import Any

import pytest

import offload
from offload.api import submit as submission
from offload.engines.base import Engine, InlineEngine
from offload.engines.batching import Batcher
from offload.engines.queue import LARGEST, Lane
from offload.errors import (
    EngineLostError,
    NotRecordedWarning,
    OffloadError,
    StorageError,
    TakenBackError,
    WorkerLostError,
    WorkFailedError,
)
from offload.registry import session
from offload.runners.batch import run_batch
from offload.tasks.own_function import OwnFunction
from offload.transport.batch import Batch
from offload.transport.function import Ways
from offload.transport.outcome import Outcome
from offload.transport.sources import Sources
from offload.util.resources import Resources
from tests.compute.conftest import Log
from tests.compute.test_calls import add, echo, fail, mark, scratch, unpicklable

pytestmark = pytest.mark.usefixtures("home")


class Manual(Engine):
    """Keeps what it is sent until the test says what becomes of it."""

    def __init__(self, slots: int = 2) -> None:
        self._slots = slots
        self.few: dict[Resources, int] = {}
        self.sent: list[tuple[Batch, PlainFuture[list[Outcome]]]] = []
        self.sizes: list[int] = []
        self.arrived = threading.Condition()
        self.cancelled: list[tuple[Any, int]] = []
        self.gone = False
        self.ended = ""

    def slots(self, resources: Resources = ()) -> int:
        return self.few.get(resources, self._slots)

    def submit(self, batch: Batch) -> PlainFuture[list[Outcome]]:
        if self.gone:
            raise EngineLostError("gone before")
        future: PlainFuture[list[Outcome]] = PlainFuture()
        with self.arrived:
            self.sent.append((batch, future))
            self.sizes.append(len(batch.calls))
            self.arrived.notify_all()
        return future

    def cancel(self, sent: PlainFuture[list[Outcome]], call: int) -> None:
        with self.arrived:
            self.cancelled.append((sent, call))
            self.arrived.notify_all()

    def next(self) -> tuple[Batch, PlainFuture[list[Outcome]]]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.sent, 10), "nothing was sent"
            return self.sent.pop(0)

    def run(self, seconds: float | None = None) -> None:
        batch, future = self.next()
        outcomes = run_batch(batch)
        for outcome in outcomes:
            if seconds is not None:
                outcome.seconds = seconds
        future.set_result(outcomes)

    def drive(self, futures: list[Any], seconds: float | None = None) -> None:
        """Run what is sent until the futures are done."""
        while not all(f.done() for f in futures):
            if self.sent:
                self.run(seconds)
            else:
                time.sleep(0.001)

    def close(self) -> None:
        self.ended += "c"

    def kill(self) -> None:
        self.ended += "k"


@pytest.fixture
def manual(monkeypatch: pytest.MonkeyPatch) -> Iterator[Manual]:
    yield from _with(Manual(), monkeypatch)


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    yield from _with(InlineEngine(), monkeypatch)


def _with(engine: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    batcher = Batcher(lambda: engine)
    monkeypatch.setattr(submission, "_dispatchers", {None: batcher})
    yield engine
    batcher.close()


def lane(waiting: int = 0) -> Lane:
    made = Lane(session.current(), OwnFunction(add.graph(), Ways(None, Sources(), b"")))
    made.waiting.extend([None] * waiting)  # type: ignore[list-item]
    return made


def outcomes(*seconds: float) -> list[Outcome]:
    made = [Outcome(0.0) for _ in seconds]
    for outcome, value in zip(made, seconds, strict=True):
        outcome.seconds = value
    return made


def test_the_first_calls_travel_alone() -> None:
    assert lane(10_000).next_size(2) == 1


def test_short_calls_travel_in_ever_larger_batches() -> None:
    one, sizes = lane(100_000), []
    for _ in range(6):
        one.learn(outcomes(1e-6))
        sizes.append(one.next_size(2))
    assert sizes == [8, 64, 512, LARGEST, LARGEST, LARGEST]


def test_long_calls_travel_alone() -> None:
    one = lane(1000)
    one.learn(outcomes(1e-6))
    one.next_size(2)
    for _ in range(5):
        one.learn(outcomes(3.0))
    assert one.next_size(2) == 1


def test_a_batch_takes_a_tenth_of_a_second() -> None:
    one = lane(1000)
    for _ in range(5):
        one.learn(outcomes(0.01, 0.01))
        size = one.next_size(2)
    assert size == 10


def test_the_last_calls_are_shared_out() -> None:
    one = lane(9)
    one.size = 100
    assert [one.next_size(4), one.next_size(2), one.next_size(9), one.next_size(100)] == [3, 5, 1, 1]


def test_ten_thousand_trivial_calls_are_few_batches(log: Log, manual: Manual) -> None:
    task = offload.task(lambda x: x + 1)
    futures = task.map(range(10_000))
    manual.drive(futures, 1e-6)
    assert offload.gather(futures) == list(range(1, 10_001))
    assert sum(manual.sizes) == 10_000
    assert len(manual.sizes) < 40
    assert all(f.recalled for f in task.map(range(10_000)))


def test_long_calls_are_spread(manual: Manual) -> None:
    futures = offload.task(lambda x: -x).map(range(6))
    manual.drive(futures, 5.0)
    assert manual.sizes == [1] * 6


def test_no_more_is_sent_than_the_slots_can_take(manual: Manual) -> None:
    futures = offload.task(lambda x: 3 * x).map(range(50))
    first = manual.next()
    with manual.arrived:
        manual.arrived.wait_for(lambda: len(manual.sent) >= 3, 10)
    assert len(manual.sizes) == 4
    assert not futures[40].running()
    first[1].set_result(run_batch(first[0]))
    manual.drive(futures)


def test_calls_that_wait_for_few_workers_leave_the_others_to_others(manual: Manual) -> None:
    manual.few[(("GPU", 1.0),)] = 1
    rare = offload.task(resources={"GPU": 1})(lambda x: 5 * x).map(range(20))
    kept = [manual.next() for _ in range(2)]
    assert [batch.resources for batch, _ in kept] == [(("GPU", 1.0),)] * 2
    plain = offload.task(lambda x: 7 * x).map(range(6))
    manual.drive(plain, 5.0)
    assert offload.gather(plain) == [7 * x for x in range(6)]
    for batch, sent in kept:
        sent.set_result(run_batch(batch))
    manual.drive(rare)
    assert offload.gather(rare) == [5 * x for x in range(20)]


def test_resources_are_no_part_of_the_identity(manual: Manual) -> None:
    def area(radius: float) -> float:
        return 3 * radius**2

    first = offload.task(resources={"GPU": 1})(area).submit(2)
    manual.run()
    assert first.result() == 12
    assert offload.task(area).submit(2).recalled


def test_the_same_call_in_flight_runs_once(log: Log, manual: Manual) -> None:
    first, other = add.submit(log.path, 1), add.submit(log.path, 2)
    batch, sent = manual.next()
    late = add.submit(log.path, 1)
    again = [*add.map([log.path] * 3, [1, 2, 1])]
    sent.set_result(run_batch(batch))
    manual.run()
    assert offload.gather([first, other, late, *again]) == [2, 3, 2, 2, 3, 2]
    assert log.runs == 2
    assert [f.recalled for f in (first, late)] == [False, False]


def test_cancelled_before_it_begins(log: Log, manual: Manual) -> None:
    futures = add.map([log.path] * 8, range(8))
    manual.next()
    assert [f.cancel() for f in futures[6:]] == [True, True]
    assert futures[7].cancelled()
    with manual.arrived:
        manual.arrived.wait_for(lambda: len(manual.sent) >= 3, 10)
    submission._dispatchers = {}  # the rest is left alone


def test_what_runs_is_ended_when_the_last_who_waits_has_cancelled_it(log: Log, manual: Manual) -> None:
    first, second = add.submit(log.path, 1), add.submit(log.path, 1)
    batch, sent = manual.next()
    assert first.running()
    assert first.cancel()
    assert first.cancelled()
    later = add.submit(log.path, 1)
    assert second.cancel()
    assert manual.cancelled == []
    assert later.cancel()
    with manual.arrived:
        assert manual.arrived.wait_for(lambda: manual.cancelled, 10)
    assert manual.cancelled == [(sent, 0)]
    anew = add.submit(log.path, 1)  # not what is just being ended
    again, sent_again = manual.next()
    sent.set_result([Outcome(0.0)])
    sent_again.set_result(run_batch(again))
    assert anew.result(10) == 2
    assert len(batch.calls) == 1
    assert [f.cancel() for f in (first, anew)] == [True, False]


def test_a_failure_in_gather_leaves_what_runs_alone(log: Log, manual: Manual) -> None:
    failing, running = fail.submit(log.path, "value"), add.submit(log.path, 1)
    batch, sent = manual.next()
    other, result = manual.next()
    sent.set_result(run_batch(batch))
    with pytest.raises(ValueError, match="on purpose"):
        offload.gather([failing, running])
    assert not running.cancelled()
    result.set_result(run_batch(other))
    assert running.result(10) == 2


def test_a_batch_that_was_taken_back_goes_again_without_what_was_cancelled(log: Log, manual: Manual) -> None:
    task = offload.task(lambda x: x + 5)
    futures = [task.submit(0)]
    manual.run(1e-6)
    futures = task.map(range(1, 20))
    batch, sent = manual.next()
    while len(batch.calls) < 2:
        sent.set_result(run_batch(batch))
        batch, sent = manual.next()
    position = 20 - len(batch.calls) - len(manual.sent)
    (gone,) = futures[-1:]
    assert gone.cancel()
    sent.set_exception(TakenBackError("as it was in no worker's hands"))
    manual.drive(futures, 1e-6)
    assert position
    assert offload.gather(futures[:-1]) == [x + 5 for x in range(1, 19)]
    assert gone.cancelled()


def test_a_late_duplicate_that_is_cancelled(log: Log, manual: Manual) -> None:
    import concurrent.futures

    first = add.submit(log.path, 1)
    batch, sent = manual.next()
    late, later = add.submit(log.path, 1), add.submit(log.path, 1)
    assert late.cancel()
    sent.set_result(run_batch(batch))
    assert offload.gather([first, later]) == [2, 2]
    done, pending = concurrent.futures.wait([first, late, later], timeout=10)
    assert (len(done), pending) == (3, set())


def test_a_lost_worker_brings_down_one_call(log: Log, manual: Manual) -> None:
    task = offload.task(lambda x: x * 7)
    warm = task.map(range(100, 104))
    manual.drive(warm, 1e-6)
    futures = task.map(range(40))
    lost = 0
    while not all(f.done() for f in futures):
        if not manual.sent:
            time.sleep(0.001)
            continue
        batch, sent = manual.next()
        if (3,) in [call[0] for call in batch.calls if isinstance(call, tuple)]:
            lost += 1
            sent.set_exception(WorkerLostError("the worker ended"))
        else:
            sent.set_result(run_batch(batch))
    assert lost == 2
    assert max(manual.sizes) > 1
    with pytest.raises(WorkerLostError):
        futures[3].result()
    assert [f.result() for i, f in enumerate(futures) if i != 3] == [7 * i for i in range(40) if i != 3]


def test_a_lost_engine_is_replaced(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    engines = [Manual(), Manual()]
    started: list[Manual] = []

    def start() -> Engine:
        started.append(engines[len(started)])
        return started[-1]

    batcher = Batcher(start)
    monkeypatch.setattr(submission, "_dispatchers", {None: batcher})
    futures = add.map([log.path] * 6, range(6))
    in_flight = [engines[0].next() for _ in range(4)]
    for _, sent in in_flight:
        sent.set_exception(EngineLostError("gone"))
    for _ in range(2):
        engines[1].run()
    assert offload.gather(futures[4:]) == [5, 6]
    for future in futures[:4]:
        assert isinstance(future.exception(), EngineLostError)
    assert (len(started), engines[0].ended) == (2, "k")
    engines[1].gone = True
    assert isinstance(add.submit(log.path, 50).exception(10), EngineLostError)
    batcher.close()


def test_an_engine_that_does_not_start(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def start() -> Engine:
        raise OffloadError("the local Dask cluster did not start: no memory", "close something")

    batcher = Batcher(start)
    monkeypatch.setattr(submission, "_dispatchers", {None: batcher})
    futures = add.map([log.path] * 5, range(5))
    for future in futures:
        with pytest.raises(OffloadError, match="did not start: no memory"):
            future.result(10)
    assert batcher.unfinished(10) == 0
    batcher.close()


def test_a_function_that_cannot_be_sent(log: Log, inline: Engine) -> None:
    class Held:
        def __reduce__(self) -> Any:
            raise TypeError("it cannot be pickled")

    offload.register(Held, encode=lambda held: 1, decode=lambda state: Held())
    held = Held()
    with pytest.raises(OffloadError):
        offload.task(lambda: held).submit()
    assert submission.dispatcher(session.current()).unfinished(1) == 0


def test_outcomes_of_all_kinds(log: Log, inline: Engine) -> None:
    ok, failed, odd = add.submit(log.path, 1), fail.submit(log.path, "value"), unpicklable.submit(log.path)
    exits = fail.submit(log.path, "exit")
    assert ok.result(10) == 2
    with pytest.raises(ValueError, match="on purpose") as caught:
        failed.result(10)
    assert "test_calls.py" in caught.value.__notes__[0]
    assert isinstance(exits.exception(10), WorkFailedError)
    with pytest.raises(offload.EncodeError, match="lock"):
        odd.result(10)
    assert [add.submit(log.path, 1).recalled, fail.submit(log.path, "value").recalled] == [True, None]


class TwoArguments(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Unloadable(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("not this one")

    def __init__(self) -> None:
        super().__init__(threading.Lock())


@offload.task
def fail_oddly(kind: str) -> None:
    if kind == "two":
        raise TwoArguments(5, "both")
    raise Unloadable


def test_exceptions_that_cannot_be_pickled(inline: Engine) -> None:
    two = fail_oddly.submit("two").exception(10)
    assert isinstance(two, TwoArguments)
    assert (two.code, str(two)) == (5, "both")
    other = fail_oddly.submit("lock").exception(10)
    assert type(other) is Unloadable
    assert "_thread.lock" in str(other)
    assert "raise Unloadable" in other.__notes__[0]


@offload.task
def take(log: str, items: list[int], number: int) -> int:
    mark(log)
    items.append(number)
    return len(items)


def test_calls_of_one_batch_share_nothing(log: Log, manual: Manual) -> None:
    shared = [0]
    futures = take.map([log.path] * 20, [shared] * 20, range(20))
    manual.drive(futures, 1e-6)
    assert offload.gather(futures) == [2] * 20
    assert max(manual.sizes) > 1
    assert shared == [0]


def test_arguments_that_cannot_be_sent(log: Log, inline: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Once:
        """Has an encoding, and cannot be pickled."""

        def __reduce__(self) -> Any:
            raise TypeError("stays here")

    offload.register(Once, encode=lambda once: 1, decode=lambda state: Once(), name="once")
    good, bad = echo.submit(log.path, 1), echo.submit(log.path, Once())
    assert good.result(10) == 1
    with pytest.raises(offload.EncodeError, match=r"cannot be sent to a worker.*stays here"):
        bad.result(10)


@pytest.mark.parametrize("size", [10, 200_000])
def test_scratch_results_stay_out_of_the_store(log: Log, inline: Engine, size: int) -> None:
    for _ in range(2):
        future = scratch.submit(log.path, size)
        assert future.result(10) == b"s" * size
        assert future.recalled is False
    now = session.current()
    assert now.store.has([now.database.runs()[0].result]) == [False]


@pytest.mark.parametrize("size", [10, 200_000])
def test_results_that_cannot_be_stored_are_returned(
    log: Log, inline: Engine, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = session.current()
    real, value = now.store.put, b"v" * size

    def put(buffers: Any) -> Any:
        raise StorageError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(now.store, "put", put)
        with pytest.warns(NotRecordedWarning, match="no space left"):
            assert echo.submit(log.path, value).result(10) == value
    assert now.store.put == real
    assert echo.submit(log.path, value).result(10) == value
    assert echo.submit(log.path, value).recalled
    assert log.runs == 2


def test_warnings_made_errors_reach_the_future(log: Log, inline: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    now = session.current()

    def put(buffers: Any) -> Any:
        raise StorageError("no space left")

    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr(now.store, "put", put)
        with pytest.raises(NotRecordedWarning):
            echo.submit(log.path, 1).result(10)
    assert echo.submit(log.path, 1).result(10) == 1


@offload.task
def nested(log: str, n: int) -> Any:
    inner = add.map([log] * n, range(n))
    return echo.submit(log, inner).result()


def test_calls_within_calls_stay_in_their_worker(log: Log, inline: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    future = nested.submit(log.path, 4)
    assert future.result(10) == [1, 2, 3, 4]
    assert log.runs == 5
    assert all(f.recalled for f in add.map([log.path] * 4, range(4)))


def test_what_a_worker_prints_is_flushed(inline: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    offload.task(lambda: os.write(1, b"written\n")).submit().result(10)
    assert "written" in capfd.readouterr().out
