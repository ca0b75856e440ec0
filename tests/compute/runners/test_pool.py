"""Runners: what ends one costs one call, and nothing that a call leaves behind reaches the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from offload.errors import MemoryLimitError, TimeLimitError, WorkerLostError
from offload.identity.functions.graph import Graph
from offload.runners import watchdog
from offload.runners.pool import Pool
from offload.storage.home import Home
from offload.tasks.own_function import OwnFunction
from offload.tasks.results import from_buffer
from offload.transport.batch import Batch
from offload.transport.limits import UNLIMITED, Limits
from offload.transport.outcome import Outcome
from offload.transport.pickling import packed, ways_of
from tests.compute.runners import calls
from tests.deploy.test_local import eventually
from tests.requirements import requires

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("home"), pytest.mark.timeout(300)]

HUGE = 3 * 2**20


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    made = Pool(str(tmp_path / "worker"))
    yield made
    made.close()


def batch(function: Callable[..., Any], *rows: tuple[Any, ...], limits: Limits = UNLIMITED) -> Batch:
    graph = Graph(function)
    own = OwnFunction(graph, ways_of(function, graph), watched=False)
    own.limits = limits
    return Batch(Home(), own, [packed(row, {}) for row in rows])


def values(pool: Pool, *asked: Any, **options: Any) -> list[Any]:
    """The results of calls, or what they have failed by."""
    outcomes = pool.run(batch(*asked, **options), "worker 7")
    assert isinstance(outcomes, list), outcomes
    return [value(outcome) for outcome in outcomes]


def value(outcome: Outcome) -> Any:
    if outcome.error is not None:
        return outcome.error.rebuilt()
    if outcome.buffer is None:
        return outcome.checksum
    return from_buffer(outcome.buffer, "")


def test_calls_run_in_the_main_thread_of_one_other_process(pool: Pool) -> None:
    ((pid, in_main),) = set(values(pool, calls.where, *((n,) for n in range(5))))
    assert pid != os.getpid()
    assert in_main
    assert set(values(pool, calls.where, (5,))) == {(pid, True)}
    assert values(pool, calls.plain, (1,)) == [2]


@pytest.mark.parametrize(
    ("how", "words"), [("exit", "exit code 3"), ("kill", "(SIGKILL)"), ("segv", "(SIGSEGV)"), ("abort", "(SIGABRT)")]
)
def test_a_death_costs_one_call(pool: Pool, tmp_path: Path, how: str, words: str) -> None:
    file = str(tmp_path / "ran")
    found = values(pool, calls.dies, *((file, n, how) for n in range(5)))
    lost = found.pop(2)
    assert found == [0, 1, 3, 4]
    assert isinstance(lost, WorkerLostError)
    assert words in lost.message
    assert "last words" in str(lost)
    assert "these are" in str(lost)
    assert [os.path.getsize(f"{file}-{n}") for n in range(5)] == [1, 1, 2, 1, 1]


def test_a_death_that_does_not_come_again_costs_nothing(pool: Pool, tmp_path: Path) -> None:
    assert values(pool, calls.dies_once, (str(tmp_path / "ran"), 5)) == [5]
    assert os.path.getsize(tmp_path / "ran") == 2


def test_somebody_kills_an_idle_runner(pool: Pool) -> None:
    ((pid, _),) = values(pool, calls.where, (1,))
    os.kill(pid, signal.SIGKILL)
    ((other, _),) = values(pool, calls.where, (1,))
    assert other != pid


def test_a_call_that_hangs_with_pythons_lock_is_ended(pool: Pool) -> None:
    found = values(pool, calls.holds, (0,), (1,), (0,), limits=(0.5, None))
    assert found[::2] == [0, 0]
    assert isinstance(found[1], TimeLimitError)
    assert isinstance(found[1], TimeoutError)
    assert "0.5 s" in found[1].message


@pytest.mark.parametrize("in_child", [False, True])
def test_a_call_that_uses_too_much_memory_is_ended(pool: Pool, in_child: bool) -> None:
    found = values(pool, calls.grows, (300, in_child), (1, False), limits=(None, 200_000_000))
    assert isinstance(found[0], MemoryLimitError)
    assert isinstance(found[0], MemoryError)
    assert "of 190.73 MiB, its memory limit" in found[0].message
    assert found[1] == 1


def test_the_memory_of_the_worker_counts(tmp_path: Path) -> None:
    own = psutil.Process().memory_info().rss
    pool = Pool(str(tmp_path), limit=own + 400 * 2**20, hurts=0.95)
    try:
        found = values(pool, calls.grows, (500, False), (1, False))
    finally:
        pool.close()
    assert isinstance(found[0], MemoryLimitError)
    assert "the worker's memory limit" in found[0].message
    assert found[1] == 1


def test_calls_that_nobody_waits_for_are_ended_or_do_not_begin(pool: Pool, tmp_path: Path) -> None:
    files = [str(tmp_path / str(number)) for number in range(4)]
    asked = batch(calls.sleeps, *((file, 1000.0 if number == 1 else 0.0) for number, file in enumerate(files)))
    found: list[Any] = []
    running = threading.Thread(target=lambda: found.extend(pool.run(asked, "worker 7", "key")))  # type: ignore[arg-type]
    running.start()
    eventually(lambda: os.path.exists(files[1]), 60)
    pool.give_up("key", {1, 2})
    running.join()
    assert [one.error is None for one in found] == [True, False, False, True]
    assert [os.path.exists(file) for file in files] == [True, True, False, True]


def test_a_batch_that_comes_after_its_calls_were_given_up(pool: Pool, tmp_path: Path) -> None:
    files = [str(tmp_path / str(number)) for number in range(3)]
    pool.give_up("key", {0, 2})
    found: Any = pool.run(batch(calls.sleeps, *((file, 0.0) for file in files)), "worker 7", "key")
    assert [one.error is None for one in found] == [False, True, False]
    assert [os.path.exists(file) for file in files] == [False, True, False]


def test_a_runner_that_is_stopped_is_replaced(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "FROZEN_SECONDS", 0.3)
    assert values(pool, calls.stops, *((str(tmp_path / "ran"), n) for n in range(3))) == [0, 1, 2]
    assert os.path.getsize(tmp_path / "ran") == 4


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
def test_calls_may_have_processes_of_their_own(pool: Pool, how: str) -> None:
    assert values(pool, calls.squares, (how,)) == [[0, 1, 4, 9]]


def test_an_idle_runner_that_is_stopped_is_told_gets_nothing_and_is_replaced(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offload.runners.pool.TOLD_AFTER", 0.1)
    ((pid, _),) = values(pool, calls.where, (1,))
    os.kill(pid, signal.SIGSTOP)
    ((told, seconds),) = eventually(lambda: pool.stopped, 60)
    assert told == pid
    assert seconds > 0.1
    assert values(pool, calls.where, (1,))[0][0] != pid
    monkeypatch.setattr(watchdog, "FROZEN_SECONDS", 0.3)
    eventually(lambda: not _lives(pid), 60)
    assert pool.stopped == []


def test_what_is_printed_is_passed_on_before_the_result(pool: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    assert values(pool, calls.prints, ("said",)) == [1]
    out, err = capfd.readouterr()
    assert out == "said\nnot by Python\n"
    assert err == "SAID\n"


def test_a_full_disk_for_what_is_printed_ends_no_call(pool: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    with capfd.disabled(), open("/dev/full", "wb", buffering=0) as full:
        kept = os.dup(1)
        os.dup2(full.fileno(), 1)
        try:
            found = values(pool, calls.prints, ("a",), ("b",))
        finally:
            os.dup2(kept, 1)
            os.close(kept)
    assert found == [1, 1]


def test_limits_hold_after_something_went_wrong_where_runners_are_looked_after(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failed, look = threading.Event(), pool._watching.look

    def fails_once(links: Any) -> None:
        if not failed.is_set():
            failed.set()
            raise ValueError("as if the system had told something odd")
        look(links)

    monkeypatch.setattr(pool._watching, "look", fails_once)
    assert failed.wait(60)
    (error,) = values(pool, calls.holds, (1,), limits=(0.5, None))
    assert isinstance(error, TimeLimitError)
    assert "something odd" in caplog.text


def test_no_runner_is_waited_for_where_the_worker_ends(tmp_path: Path) -> None:
    made = Pool(str(tmp_path / "worker"), spare=False)
    made.close()
    assert isinstance(made.run(batch(calls.plain, (1,)), "worker 7"), WorkerLostError)


def test_large_arguments_and_results(pool: Pool) -> None:
    assert values(pool, calls.size, (b"abc" * HUGE,), (b"xyz",)) == [(3 * HUGE, b"abc"), (3, b"xyz")]
    asked = batch(calls.gives, (HUGE,))
    asked.scratch = True
    (outcome,) = pool.run(asked, "worker 7")  # type: ignore[misc]
    assert value(outcome) == bytes(HUGE)


def test_what_a_call_changes_does_not_reach_the_next(pool: Pool, tmp_path: Path) -> None:
    first, second, third = values(pool, calls.changes, *((str(tmp_path),) for _ in range(3)))
    assert first == second == third
    assert first[2:] == [False, None, True]


def test_what_a_call_sets_for_the_whole_process_does_not_reach_the_next(pool: Pool) -> None:
    first, second, third = values(pool, calls.sets, (1,), (2,), (3,))
    assert first == second == third
    assert not first["drawn"]
    assert values(pool, calls.sets, (4,)) == [first]


def test_a_thread_that_a_call_leaves_at_work_does_not_meet_the_next(pool: Pool, tmp_path: Path) -> None:
    outcomes = pool.run(batch(calls.goes_on, (True, 1000.0, "x"), (True, 1000.0, "x")), "worker 7")
    assert isinstance(outcomes, list)
    assert outcomes[0].effects is None, "nothing is told of what the user vouches for"
    watched = batch(calls.goes_on, (True, 1000.0, "x"), (True, 1000.0, "x"))
    watched.watched = True
    outcomes = pool.run(watched, "worker 7")
    assert isinstance(outcomes, list)
    first, second = map(value, outcomes)
    assert first != second
    assert not _lives(first)
    effects = outcomes[0].effects
    assert effects is not None
    assert effects.threads == ["of calls"]


def test_a_thread_that_python_would_wait_for_may_end(pool: Pool, tmp_path: Path) -> None:
    files = [tmp_path / name for name in "ab"]
    asked = batch(calls.goes_on, *((False, 0.2, str(file)) for file in files))
    asked.watched = True
    outcomes = pool.run(asked, "worker 7")
    assert isinstance(outcomes, list)
    assert value(outcomes[0]) == value(outcomes[1])
    assert all(file.exists() for file in files)
    assert outcomes[0].effects is None or not outcomes[0].effects.threads


def test_idle_threads_are_there_for_the_next_call(pool: Pool) -> None:
    asked = batch(calls.pooled, (1,), (2,))
    asked.watched = True
    outcomes = pool.run(asked, "worker 7")
    assert isinstance(outcomes, list)
    (one, first), (two, second) = map(value, outcomes)
    assert (one, two, first) == (1, 2, second)


def test_what_cannot_be_put_back_takes_its_process_along(pool: Pool) -> None:
    requires(os.geteuid() == 0, "needs root, to become another user")
    before = os.getpriority(os.PRIO_PROCESS, 0)
    first, second, third = values(pool, calls.is_nicer, (2,), (-2,), (3,))
    assert first[0] == second[0] != third[0]
    assert [first[1], second[1], third[1]] == [before + 2, before + 2, before + 3]


def test_a_figure_that_a_call_has_left_open_is_not_drawn_into(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    requires(find_spec("matplotlib") is not None, "needs matplotlib")
    monkeypatch.setenv("MPLBACKEND", "agg")
    assert values(pool, calls.draws, (1,), (2,)) == [1, 1]
    assert values(pool, calls.draws, (3,)) == [1]


def test_what_is_left_for_the_end_of_the_process_is_done_then(pool: Pool, tmp_path: Path) -> None:
    file = tmp_path / "told"
    (runner,) = values(pool, calls.ends_later, (str(file),))
    assert values(pool, calls.where, (1,))[0][0] == runner
    assert not file.exists()
    pool.close()
    assert file.read_text() == "done"


def test_state_in_modules_does_not_reach_the_next(pool: Pool) -> None:
    assert values(pool, calls.counts, *((n,) for n in range(8))) == [n + 1 for n in range(8)]


def test_what_calls_use_is_measured_for_each(pool: Pool) -> None:
    outcomes = pool.run(batch(calls.works, (0.3, 100), (0.0, 1)), "worker 7")
    assert isinstance(outcomes, list)
    first, second = ((one.cpu_seconds, one.peak_memory_bytes) for one in outcomes)
    assert 0.3 <= first[0] < 10  # type: ignore[operator]
    assert second[0] < 0.3  # type: ignore[operator]
    assert first[1] > 100 * 2**20 > second[1] > 5 * 2**20  # type: ignore[operator]


def test_several_threads_have_a_runner_each(pool: Pool, tmp_path: Path) -> None:
    found: list[list[Any]] = []
    threads = [
        threading.Thread(target=lambda: found.append(values(pool, calls.sleeps, (str(tmp_path / "ran"), 1.0))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({pid for (pid,) in found}) == 3


@pytest.mark.filterwarnings("ignore:subprocess")
@pytest.mark.parametrize("how", ["dropped", "orphan", "session"])
def test_what_nobody_holds_ends_with_its_call(pool: Pool, how: str) -> None:
    (first, second) = values(pool, calls.starts, (how, False, ""), (how, False, "again"))
    assert first[1] == second[1]  # in the same runner
    assert not _lives(first[0])
    assert not _lives(second[0])


def test_what_is_held_is_there_for_the_next_call(pool: Pool) -> None:
    ((child, runner),) = values(pool, calls.starts, ("dropped", True, ""))
    assert values(pool, calls.starts, ("dropped", False, "again"))[0][1] == runner
    assert _lives(child)
    pool.close()
    assert not _lives(child)


@pytest.mark.parametrize("how", ["dropped", "session"])
@pytest.mark.parametrize("end", ["raise", "kill", "hang"])
def test_all_that_a_call_has_started_ends_where_it_fails(pool: Pool, tmp_path: Path, how: str, end: str) -> None:
    told = tmp_path / "told"
    found = values(pool, calls.starts, (how, True, f"{end} {told}"), limits=(2.0, None))
    kind = {"raise": ValueError, "kill": WorkerLostError, "hang": TimeLimitError}[end]
    assert isinstance(found[0], kind)
    assert not _lives(int(told.read_text()))
    assert values(pool, calls.plain, (1,)) == [2]


@pytest.mark.parametrize(("how", "code"), [("returns", 0), ("raises", 1), ("exits", 7)])
def test_a_child_that_comes_back_out_of_a_call_ends(pool: Pool, how: str, code: int) -> None:
    assert values(pool, calls.forks, (how,)) == [code]


@pytest.mark.parametrize("how", ["signals", "finally", "in C", "orphan"])
def test_limits_hold_whatever_a_call_does(pool: Pool, how: str) -> None:
    error = values(pool, calls.is_stubborn, (how,), limits=(None, 200_000_000) if how == "orphan" else (1.0, None))[0]
    assert isinstance(error, MemoryLimitError if how == "orphan" else TimeLimitError)


def test_one_of_a_thousand_that_ends_its_process_costs_itself(pool: Pool) -> None:
    found = values(pool, calls.is_fatal_once, *((number,) for number in range(1000)))
    assert isinstance(found.pop(500), WorkerLostError)
    assert found == [number for number in range(1000) if number != 500]
    assert values(pool, calls.reads, ()) == [""]


@pytest.mark.parametrize(("first", "seconds"), [(3, 0.0), (0, 0.0), (3, 8.0)])
def test_a_call_that_closes_what_others_have_opened_is_told_so(pool: Pool, first: int, seconds: float) -> None:
    found = values(pool, calls.closes, (first, seconds))
    assert "closed descriptors that it had not opened" in str(found[0])
    assert values(pool, calls.plain, (1,)) == [2]


def test_nothing_of_a_call_outlives_a_worker_that_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = (
        "import sys\n"
        "from offload.runners.pool import Pool\n"
        "from tests.compute.runners import calls\n"
        "from tests.compute.runners.test_pool import batch\n"
        "Pool(sys.argv[1]).run(batch(calls.starts, ('session', True, 'hang ' + sys.argv[2])), 'worker 7')\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    worker = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "worker"), str(told)], env={**os.environ, "PYTHONPATH": root}
    )
    eventually(lambda: told.exists() and told.read_text(), 60)
    members = [process.pid for process in psutil.Process(worker.pid).children(recursive=True)]
    worker.kill()
    worker.wait()
    eventually(lambda: not any(map(_lives, [int(told.read_text()), *members])), 60)


def test_all_end_with_the_pool(tmp_path: Path) -> None:
    pool = Pool(str(tmp_path / "worker"))
    child, runner = values(pool, calls.leaves, (str(tmp_path / "left"),))[0], values(pool, calls.where, (1,))[0][0]
    assert psutil.pid_exists(child)
    pool.close()
    eventually(lambda: not any(_lives(pid) for pid in (child, runner)), 60)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
