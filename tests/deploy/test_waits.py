"""Who waits for a deployment whose workers are not there is told why: in Python as by ``offload run``."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from offload import notices
from offload.api.client import client
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.deploy.status import report
from offload.jobs.calls import wait_reasons
from offload.jobs.calls.wait_reasons import Watch, is_awaited
from offload.jobs.waits import reason
from offload.registry.deployments import Place, Registry
from offload.tasks.futures import Future
from tests.deploy.test_local import eventually

PROGRAM = """
import asyncio, concurrent.futures, sys, time
import offload

@offload.task(effects="ignore")
def slow(number, seconds):
    time.sleep(seconds)
    return number

async def both(futures):
    return await asyncio.gather(*futures)

if __name__ == "__main__":
    how, seconds = sys.argv[1], float(sys.argv[2])
    futures = slow.map(range(2), [seconds] * 2)
    if how == "gather":
        print(offload.gather(futures))
    elif how == "progress":
        print(offload.gather(futures, progress=True))
    elif how == "result":
        print([future.result() for future in futures])
    elif how == "as_completed":
        print(sorted(future.result() for future in concurrent.futures.as_completed(futures)))
    elif how == "await":
        print(asyncio.run(both(futures)))
    else:
        time.sleep(5)  # nobody waits
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A deployment whose worker cannot start."""
    path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OFFLOAD_HOME", str(path))
        patch.setenv("DASK_DISTRIBUTED__WORKER__PRELOAD", '["no_such_module_xyz"]')
        registry = Registry(str(path))
        launch.up(registry, Spec(name="test", workers=1), print)
    place = registry.get("test")
    eventually(lambda: report(place)["problems"])
    yield place
    launch.down(registry, place, print)


def program(place: Place, directory: Path, *words: str) -> subprocess.Popen[str]:
    (directory / "program.py").write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, "program.py", *words],
        cwd=directory,
        env={**os.environ, "OFFLOAD_HOME": place.home, "OFFLOAD_DEPLOYMENT": place.name},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


WORDS = "no workers are connected: worker-0 ended "
CAUSE = "worker-0 cannot start: ModuleNotFoundError: No module named 'no_such_module_xyz'"


@pytest.mark.real
@pytest.mark.parametrize("how", ["gather", "result", "as_completed", "await", "progress"])
def test_every_way_to_wait_tells_the_reason(place: Place, tmp_path: Path, how: str) -> None:
    running = program(place, tmp_path, how, "0")
    try:
        assert running.stderr is not None
        line = running.stderr.readline()
    finally:
        running.kill()
        rest = running.communicate()[1]
    assert line.startswith(f"offload: 2 calls wait: {WORDS}"), line + rest
    assert line.endswith(f"{CAUSE}\n")


@pytest.mark.real
def test_who_does_not_wait_is_told_nothing(place: Place, tmp_path: Path) -> None:
    running = program(place, tmp_path, "none", "0")
    assert running.communicate(timeout=60)[1] == ""
    assert reason(place, 1).startswith(f"1 call waits: {WORDS}")


@pytest.mark.real
def test_commands_tell_the_same(place: Place, command: Path) -> None:
    running = subprocess.Popen(
        [command, "run", "--on", place.name, "--", "echo", "hello"],
        env={**os.environ, "OFFLOAD_HOME": place.home},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stderr is not None
        line = running.stderr.readline()
    finally:
        running.terminate()
        running.communicate()
    assert WORDS in line
    assert line.endswith(f"{CAUSE}\n")


@pytest.mark.real
def test_calls_that_run_are_no_reason_to_tell_anything(home: Path, tmp_path: Path) -> None:
    registry = Registry(str(home))
    launch.up(registry, Spec(name="busy", workers=1), print)
    place = registry.get("busy")
    try:
        eventually(lambda: [w for w in report(place)["workers"] if w["state"] == "connected"])
        out, err = program(place, tmp_path, "gather", "3").communicate(timeout=60)
        assert (out, err) == ("[0, 1]\n", "")
    finally:
        launch.down(registry, place, print)


FILL = 'import sys; sys.filled = bytearray(b"x") * (590 << 20)'


@pytest.mark.real
def test_workers_whose_memory_is_nearly_full_are_a_reason(home: Path, tmp_path: Path, command: Path) -> None:
    """Dask pauses such a worker: it is connected, and gets nothing to do."""
    registry = Registry(str(home))
    launch.up(registry, Spec(name="full", workers=1, memory_limit="800MB"), print)
    place = registry.get("full")
    waits = []
    try:
        with client("full") as dask:
            eventually(lambda: dask.scheduler_info(n_workers=-1)["workers"])
            dask.run(exec, FILL)  # in the worker itself, where nothing of a call is
            eventually(lambda: [one["paused"] for one in report(place)["workers"]] == [True])
        waits.append(program(place, tmp_path, "gather", "0"))
        words = [str(command), "run", "--on", "full", "--", "echo", "hello"]
        environment = {**os.environ, "OFFLOAD_HOME": place.home}
        waits.append(subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True))
        for process, told in zip(waits, ("2 calls wait: ", "job 1: "), strict=True):
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith(f"offload: {told}no worker takes anything on: "), line
        told = report(place)["waits"][0]
        assert "no worker takes anything on: worker-0 is paused: it uses " in told, told
        assert told.endswith(" of 800.0 MB of memory")
    finally:
        for process in waits:
            process.terminate()
            process.communicate()
        launch.down(registry, place, print)


def test_a_reason_is_told_once_and_again_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLL", "TELL_AFTER", "LONGEST_PAUSE"):
        monkeypatch.setattr(wait_reasons, name, 0.01)
    reasons = iter(["it ended 1 times", "it ended 2 times", "it starts", "", "it starts", "it starts"])
    said: list[str] = []

    def why(number: int) -> str:
        assert number == 3
        found = next(reasons, None)
        if found is None:
            watched.end()
        return found or ""

    watched = Watch(why, said.append)
    watched.run(lambda: 3)
    assert said == ["it ended 1 times", "it starts", "it starts"]


def test_nothing_is_asked_while_there_is_news_or_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait_reasons, "POLL", 0.001)
    monkeypatch.setattr(wait_reasons, "TELL_AFTER", 3600.0)
    looks = 0

    def waiting() -> int:
        nonlocal looks
        looks += 1
        if looks == 50:
            watched.end()
        return 0

    watched = Watch(lambda number: pytest.fail("asked"), print)
    monkeypatch.setattr(watched._ended, "wait", lambda seconds: waiting() or watched._ended.is_set())
    watched.run(lambda: 3)  # there was news an hour ago at the most
    monkeypatch.setattr(wait_reasons, "TELL_AFTER", 0.0)
    again = Watch(lambda number: pytest.fail("asked"), print)
    looks, watched = 0, again
    again.run(waiting)


def test_a_future_knows_whether_anybody_waits() -> None:
    future: Future[int] = Future()
    assert not is_awaited(future)
    waiter = threading.Thread(target=future.result)
    waiter.start()
    deadline = time.monotonic() + 30
    while not is_awaited(future):
        assert time.monotonic() < deadline
    future.set_result(1)
    waiter.join()


def test_a_line_stands_above_the_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    notices.tell("it waits")
    assert capsys.readouterr().err == "offload: it waits\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    notices.tell("it waits")
    assert capsys.readouterr().err == "\r\x1b[Koffload: it waits\n"
