"""submit and map on a local cluster, which one set of tests shares."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offload
from offload.api import submit
from offload.errors import WorkFailedError
from offload.registry import session
from tests.compute.conftest import Log
from tests.compute.test_callables import Square, fibonacci, later
from tests.compute.test_calls import FACTOR, add, echo, fail, mark, scaled

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    submit.shutdown()
    yield
    submit.shutdown()


def test_values_in_order_and_recalled_after(log: Log) -> None:
    futures = add.map([log.path] * 30, range(30))
    assert offload.gather(futures) == list(range(1, 31))
    assert {f.recalled for f in futures} == {False}
    again = add.map([log.path] * 31, range(31))
    assert offload.gather(again) == list(range(1, 32))
    assert [f.recalled for f in again] == [True] * 30 + [False]
    assert log.runs == 31
    assert add(log.path, 3) == 4
    assert log.runs == 31


def test_what_was_called_directly_is_recalled(log: Log) -> None:
    add(log.path, 1)
    future = add.submit(log.path, a=1, b=1)
    assert future.done()
    assert (future.result(), future.recalled) == (2, True)
    assert future.transformation == add.identify((log.path, 1), {}).transformation
    assert log.runs == 1


def test_calls_run_in_other_processes() -> None:
    assert offload.task(os.getpid).submit().result(30) != os.getpid()


def test_maps_of_all_lengths(log: Log) -> None:
    assert add.map([]) == []
    with pytest.raises(ValueError, match="shorter"):
        add.map([log.path], [])
    with pytest.raises(TypeError):
        add.map([log.path])
    with pytest.raises(offload.EncodeError, match="argument a"):
        add.map([log.path] * 2, [1, threading.Lock()])
    assert log.runs == 0


def test_futures_as_arguments(log: Log) -> None:
    one, two = add.submit(log.path, 0), add.submit(log.path, 1)
    three = add.submit(log.path, one, b=two)
    nested = echo.submit(log.path, {"a": [one, (two, {"b": three})], "c": 5})
    assert nested.result(30) == {"a": [1, (2, {"b": 3})], "c": 5}
    assert nested.transformation == echo.identify((log.path, {"a": [1, (2, {"b": 3})], "c": 5}), {}).transformation
    assert log.runs == 4
    assert echo(log.path, {"a": [1, (2, {"b": 3})], "c": 5}) == nested.result()
    assert log.runs == 4


def test_a_dependency_that_fails(log: Log) -> None:
    bad = fail.submit(log.path, "value")
    follower = add.submit(log.path, bad)
    last = add.submit(log.path, follower)
    with pytest.raises(ValueError, match="on purpose"):
        last.result(30)
    assert follower.exception() is bad.exception()
    assert log.runs == 1


def test_a_dependency_that_is_cancelled(log: Log) -> None:
    never = offload.Future[int]()
    follower = add.submit(log.path, never)
    never.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        follower.result(30)


def test_a_dependency_that_has_no_identity(log: Log) -> None:
    with pytest.raises(TypeError, match="required argument"):
        add.submit(b=add.submit(log.path, 1)).result(30)


def test_large_arguments_and_results(log: Log) -> None:
    array = np.arange(500_000.0)
    futures = [echo.submit(log.path, array), echo.submit(log.path, array[::2])]
    np.testing.assert_array_equal(futures[0].result(60), array)
    np.testing.assert_array_equal(futures[1].result(60), array[::2])
    assert echo.submit(log.path, array).recalled
    assert log.runs == 2


@pytest.mark.real
def test_very_large_arguments(log: Log) -> None:
    # Larger than what Dask warns about; warnings are errors here.
    data = np.zeros(8_000_000)
    assert offload.task(lambda a: float(a.sum())).submit(data).result(60) == 0.0


def test_methods_and_recursion(log: Log) -> None:
    assert Square(3).area.submit(log.path).result(30) == 9
    assert offload.gather(Square(3).area.map([log.path] * 2, [2, 3])) == [18, 27]
    assert Square(3).area(log.path) == 9
    assert log.runs == 3
    assert fibonacci.submit(log.path, 15).result(30) == 610
    assert fibonacci(log.path, 14) == 377
    assert log.runs == 3 + 16


def test_coroutine_functions(log: Log) -> None:
    assert later.submit(log.path, 1).result(30) == 2
    assert asyncio.run(later(log.path, 1)) == 2
    assert log.runs == 1


@offload.task
def outer(log: str, n: int) -> int:
    inner = add.map([log] * n, range(n))
    return int(add.submit(log, echo.submit(log, sum(offload.gather(inner)))).result())


def test_calls_within_calls_are_recorded_in_the_same_home(log: Log) -> None:
    assert outer.submit(log.path, 5).result(30) == 16
    assert log.runs == 7
    assert [f.recalled for f in add.map([log.path] * 5, range(5))] == [True] * 5
    labels = {run.label.rpartition(":")[2] for run in session.current().database.runs()}
    assert labels == {"outer", "add", "echo"}


def test_a_changed_global_is_what_the_worker_uses(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", FACTOR)
    assert scaled.submit(log.path, 1).result(30) == 2
    FACTOR[0] = 5
    try:
        assert scaled.submit(log.path, 1).result(30) == 5
        assert scaled(log.path, 1) == 5
    finally:
        FACTOR[0] = 2
    assert scaled(log.path, 1) == 2
    assert log.runs == 2


def test_await_and_callbacks(log: Log) -> None:
    async def main() -> int:
        first = add.submit(log.path, 1)
        return int(await first) + int(await add.submit(log.path, first))

    assert asyncio.run(main()) == 5
    seen = threading.Event()
    add.submit(log.path, 70).add_done_callback(lambda f: seen.set())
    assert seen.wait(30)


def test_the_standard_library_can_wait_for_them(log: Log) -> None:
    futures = add.map([log.path] * 5, range(5))
    assert {f.result() for f in concurrent.futures.as_completed(futures, 30)} == {1, 2, 3, 4, 5}


@offload.task
def slow(log: str, number: int, seconds: float) -> int:
    mark(log)
    time.sleep(seconds)
    return number


def test_gather_with_a_failure_cancels_the_rest(log: Log) -> None:
    futures: list[offload.Future[Any]] = [
        fail.submit(log.path, "value"),
        *slow.map([log.path] * 200, range(200), [0.05] * 200),
    ]
    with pytest.raises(ValueError, match="on purpose"):
        offload.gather(futures)
    assert sum(f.cancelled() for f in futures) > 100
    assert submit.dispatcher(session.current()).unfinished(30) == 0
    assert log.runs < 100


def test_gather_with_a_deadline(log: Log) -> None:
    future = slow.submit(log.path, 1, 0.5)
    with pytest.raises(TimeoutError, match="1 of 1"):
        offload.gather([future], timeout=0.01)
    assert future.result(30) == 1


class Custom(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@offload.task
def raise_custom() -> None:
    raise Custom(7, "mine")


def test_exceptions_are_the_users_own() -> None:
    error = raise_custom.submit().exception(30)
    assert isinstance(error, Custom)
    assert (error.code, error.args) == (7, ("mine",))
    assert 'raise Custom(7, "mine")' in error.__notes__[0]


def test_sys_exit_ends_the_call_only(log: Log) -> None:
    error = fail.submit(log.path, "exit").exception(30)
    assert isinstance(error, WorkFailedError)
    assert "called sys.exit" in error.message
    assert add.submit(log.path, 1).result(30) == 2


@pytest.mark.real
def test_a_call_that_ends_its_process(log: Log) -> None:
    task = offload.task(lambda n: os._exit(3) if n == 17 else n)
    futures = task.map(range(40))
    error = futures[17].exception(60)
    assert isinstance(error, offload.OffloadError)
    assert "the process that ran it ended with exit code 3, twice" in str(error)
    assert [f.result(60) for i, f in enumerate(futures) if i != 17] == [i for i in range(40) if i != 17]


@pytest.mark.real
def test_a_worker_is_killed_while_it_works(log: Log, tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def work(n: int) -> int:
        with open(pids, "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.2)
        return n

    futures = offload.task(work, effects="ignore").map(range(20))
    while not pids.exists() or not pids.read_text().endswith("\n"):
        time.sleep(0.01)
    os.kill(int(pids.read_text().split()[0]), 9)
    assert offload.gather(futures, timeout=60) == list(range(20))


def test_after_a_fork(log: Log) -> None:
    assert add.submit(log.path, 1).result(30) == 2
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            value = [add(log.path, 1), add(log.path, 2), add.submit(log.path, 1).recalled]
            os.write(writing, repr(value).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == "[2, 3, True]"
    assert os.waitpid(child, 0)[1] == 0
    assert add.submit(log.path, 2).recalled
    assert add.submit(log.path, 3).result(30) == 4


def test_prints_of_workers_appear(capfd: pytest.CaptureFixture[str]) -> None:
    def talk() -> None:
        print("to stdout", flush=True)
        print("to stderr", file=sys.stderr)
        print("x" * 200_000)

    offload.task(talk).submit().result(30)
    out = err = ""
    for _ in range(500):
        captured = capfd.readouterr()
        out, err = out + captured.out, err + captured.err
        if "to stderr" in err and out.count("x") >= 200_000:
            break
        time.sleep(0.01)
    assert "to stdout" in out
    assert "to stderr" in err
    assert out.count("x") == 200_000


def test_many_threads_submit_at_once(log: Log) -> None:
    found: list[Any] = []

    def work(start: int) -> None:
        found.append(offload.gather(add.map([log.path] * 50, range(start, start + 50))))

    threads = [threading.Thread(target=work, args=(10 * i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found) == [list(range(10 * i + 1, 10 * i + 51)) for i in range(8)]
    assert log.runs == 120
