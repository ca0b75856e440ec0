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
from offload.compute import submission
from offload.compute.places import Place, Registry
from offload.deploy import launch
from offload.deploy.report import report
from offload.deploy.spec import Spec
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
    submission.shutdown()
    launch.down(registry, place, print)


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
