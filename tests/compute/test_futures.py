"""Futures and gather, without an engine."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import pytest

import offload
from offload.identity.values.encode import encode
from offload.tasks.futures import Future
from offload.tasks.progress import following


def done(value: object, recalled: bool = False) -> Future[object]:
    future: Future[object] = Future()
    future.set_buffer(encode(value), recalled)
    return future


def failed(error: BaseException) -> Future[object]:
    future: Future[object] = Future()
    future.set_exception(error)
    return future


def test_gather_keeps_the_order() -> None:
    assert offload.gather([done(1), done(2, recalled=True), done(3)]) == [1, 2, 3]
    assert offload.gather(done(i) for i in range(3)) == [0, 1, 2]
    assert offload.gather([]) == []


def test_a_future_says_whether_it_was_recalled() -> None:
    assert [done(1).recalled, done(1, recalled=True).recalled, Future[int]().recalled] == [False, True, None]


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("the user's own"), KeyboardInterrupt()], ids=repr)
def test_gather_raises_and_cancels_the_rest(error: BaseException) -> None:
    waiting, running = Future[object](), Future[object]()
    running.set_running_or_notify_cancel()
    with pytest.raises(type(error)) as caught:
        offload.gather([waiting, running, failed(error)])
    assert caught.value is error
    assert waiting.cancelled()
    assert not running.done()


def test_gather_with_a_cancelled_future() -> None:
    waiting, other = Future[object](), Future[object]()
    other.cancel()
    other.set_running_or_notify_cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        offload.gather([other, waiting], timeout=0.01)


def test_gather_in_vain() -> None:
    waiting = Future[object]()
    with pytest.raises(TimeoutError, match=r"1 of 2 results are not there after 0.01 s"):
        offload.gather([done(1), waiting], timeout=0.01)
    assert not waiting.cancelled()


def test_await() -> None:
    waiting = Future[object]()

    async def main() -> list[object]:
        threading.Timer(0.01, waiting.set_buffer, (encode(5), False)).start()
        return [await done(4), await waiting, await asyncio.wait_for(asyncio.wrap_future(done(6)), 5)]

    assert asyncio.run(main()) == [4, 5, 6]


def test_the_standard_library_can_wait_for_them() -> None:
    futures = [done(i) for i in range(3)]
    assert {f.result() for f in concurrent.futures.as_completed(futures)} == {0, 1, 2}
    assert concurrent.futures.wait(futures).not_done == set()
    seen: list[object] = []
    futures[0].add_done_callback(lambda f: seen.append(f.result()))
    assert seen == [0]


def test_a_buffer_that_cannot_be_decoded() -> None:
    future: Future[object] = Future()
    future.transformation = "ab" * 32
    future.set_buffer(b"\xff", False)
    with pytest.raises(offload.DecodeError, match="cannot be decoded") as caught:
        future.result()
    assert "offload forget abababababababab" in (caught.value.hint or "")


def test_progress_says_how_far_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offload.tasks.progress.DELAY", 0.0)
    monkeypatch.setattr("offload.tasks.progress.PLAIN_INTERVAL", 0.01)
    waiting = Future[object]()
    threading.Timer(0.1, waiting.set_buffer, (encode(5), False)).start()
    assert offload.gather([done(1, recalled=True), waiting], progress=True) == [1, 5]
    lines = capsys.readouterr().err.splitlines()
    assert "1/2, 1 recalled" in lines[0]
    assert "2/2, 1 recalled" in lines[-1]


def test_no_progress_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with following([done(1)], None):
        pass
    assert capsys.readouterr().err == ""


def test_stop_iteration_out_of_an_awaited_call() -> None:
    async def waits() -> None:
        future: Future[int] = Future()
        threading.Timer(0.1, future.set_exception, (StopIteration(3),)).start()
        await asyncio.wait_for(future, 60)

    with pytest.raises(RuntimeError) as caught:
        asyncio.run(waits())
    assert isinstance(caught.value.__cause__, StopIteration)


def test_awaited_calls_are_cancelled_both_ways() -> None:
    async def waits(future: Future[int], cancel: bool) -> None:
        waiting = asyncio.ensure_future(_value(future))
        await asyncio.sleep(0)
        (waiting if cancel else future).cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert future.cancelled()

    for cancel in (True, False):
        asyncio.run(waits(Future(), cancel))


async def _value(future: Future[int]) -> int:
    return await future


def test_gather_gives_exceptions_in_place_of_results() -> None:
    error, last = ValueError("no"), Future[object]()
    cancelled = Future[object]()
    cancelled.cancel()
    cancelled.set_running_or_notify_cancel()
    threading.Timer(0.05, lambda: last.set_buffer(encode(3), False)).start()
    found = offload.gather([done(1), failed(error), cancelled, last], return_exceptions=True)
    assert found[:2] == [1, error]
    assert isinstance(found[2], concurrent.futures.CancelledError)
    assert found[3] == 3
    with pytest.raises(KeyboardInterrupt):
        offload.gather([failed(KeyboardInterrupt())], return_exceptions=True)


def test_futures_as_they_are_done() -> None:
    late = Future[object]()
    given = offload.as_completed([late, done(1, recalled=True)])
    assert next(given).result() == 1
    late.set_buffer(encode(2), False)
    assert [future.result() for future in given] == [2]
    with pytest.raises(TimeoutError):
        next(offload.as_completed([Future[object]()], timeout=0.01))
    with pytest.raises(offload.UsageError, match="as_completed takes futures, not a int"):
        offload.as_completed([1])  # type: ignore[arg-type]
    with pytest.raises(offload.UsageError, match="as_completed takes a list"):
        offload.as_completed(late)  # type: ignore[arg-type]


def test_who_is_told_of_a_cancel_is_forgotten_when_the_call_has_ended() -> None:
    returned, failed, cancelled = Future[int](), Future[int](), Future[int]()
    told: list[bool] = []
    for future in (returned, failed, cancelled):
        future.on_cancel = told.append
    returned.set_result(1)
    failed.set_exception(ValueError())
    assert cancelled.cancel()
    assert (returned.on_cancel, failed.on_cancel, told) == (None, None, [True])
