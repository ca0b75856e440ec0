"""A worker of a deployment that is frozen is a problem, and is replaced, also when its nanny is frozen with it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import offload
from offload.api import submit
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.deploy.status import report
from offload.registry.deployments import Place, Registry
from tests.deploy.test_life import pid_of
from tests.deploy.test_local import eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

SECONDS = 180.0


@offload.task(effects="ignore")
def nap(number: int) -> int:
    time.sleep(0.5)
    return number


@pytest.fixture
def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "test")
    registry = Registry(str(home))
    launch.up(registry, Spec(name="test", workers=2), print)
    place = registry.get("test")
    eventually(lambda: [w["state"] for w in report(place)["workers"]] == ["connected"] * 2)
    yield place
    submit.shutdown()
    launch.down(registry, place, print)


@offload.task(effects="ignore")
def tells(file: str) -> str:
    """Tell its process, and wait when it runs for the first time."""
    is_first = not os.path.exists(file)
    with open(file, "a") as told:
        told.write(f"{os.getpid()}\n")
    time.sleep(1000 if is_first else 0)
    return Path(file).read_text()


def test_a_stopped_process_for_calls_is_told_and_replaced(place: Place, tmp_path: Path) -> None:
    future = tells.submit(str(tmp_path / "told"))
    pid = int(eventually(lambda: (tmp_path / "told").exists() and (tmp_path / "told").read_text()))
    assert report(place)["problems"] == []
    os.kill(pid, signal.SIGSTOP)
    (problem,) = eventually(lambda: report(place)["problems"])
    assert "a process for calls of worker-" in problem["message"]
    assert f"kill -CONT {pid}" in problem["hint"]
    first, second = future.result(SECONDS).split()
    assert int(first) == pid != int(second)
    eventually(lambda: report(place)["problems"] == [])


@pytest.mark.parametrize("name", ["scheduler", "jobs"])
def test_a_stopped_service_is_told(place: Place, name: str) -> None:
    """All was well in `status`."""
    (pid,) = [one["pid"] for one in report(place)["services"] if one["name"] == name]
    os.kill(pid, signal.SIGSTOP)
    try:
        (problem,) = eventually(lambda: [p for p in report(place)["problems"] if f"the {name} of" in p["message"]])
        assert problem["message"] == f"the {name} of test is silent: its process runs, and does not answer"
        assert f"kill -CONT {pid}" in problem["hint"]
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: report(place)["problems"] == [])


@pytest.mark.parametrize("victims", [["scheduler"], ["scheduler", "jobs", "storage"]])
def test_services_that_are_stopped_are_told_and_replaced(place: Place, victims: list[str]) -> None:
    assert offload.gather(nap.map(range(2)), timeout=SECONDS) == [0, 1]
    futures = nap.map(range(2, 40))
    eventually(lambda: sum(future.done() for future in futures) > 2)
    for victim in victims:
        os.kill(pid_of(place, victim), signal.SIGSTOP)
    problems = eventually(lambda: [one for one in report(place)["problems"] if "scheduler" in one["message"]])
    assert "kill -CONT" in problems[0]["hint"]
    assert offload.gather(futures, timeout=SECONDS) == list(range(2, 40))
    eventually(lambda: report(place)["problems"] == [], SECONDS)
    restarts = {one["name"]: one["restarts"] for one in report(place)["services"]}
    assert all(restarts[victim] == 1 for victim in victims), restarts
    assert [future.recalled for future in nap.map(range(40))] == [True] * 40


@pytest.mark.parametrize("nanny_too", [False, True])
def test_its_calls_are_done_by_others_and_another_comes(place: Place, nanny_too: bool) -> None:
    futures = nap.map(range(12))
    first = report(place)["workers"][0]["pid"]
    nanny = psutil.Process(first)
    (worker,) = (one for one in nanny.children() if "spawn_main" in " ".join(one.cmdline()))
    eventually(lambda: sum(future.done() for future in futures) > 2)
    for process in (nanny, worker) if nanny_too else (worker,):
        os.kill(process.pid, signal.SIGSTOP)
    problems = eventually(lambda: report(place)["problems"])
    assert problems[0]["message"].startswith("worker-0 has not been heard of for ")
    assert offload.gather(futures, timeout=SECONDS) == list(range(12))
    eventually(lambda: [w["state"] for w in report(place)["workers"]] == ["connected"] * 2, SECONDS)
    assert report(place)["problems"] == []
    # One whose parent has ended, too, is reaped by the system when that comes to it.
    eventually(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    assert (report(place)["workers"][0]["pid"] == first) is not nanny_too
