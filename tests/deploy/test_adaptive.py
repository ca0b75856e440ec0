"""Workers that come and go with the work: calls of tasks, and plain Dask; nobody who is at work is sent away."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import offload as api
from offload.api import submit
from offload.api.client import client
from offload.deploy import scaling
from offload.deploy.config.spec import Spec, spec_of
from offload.deploy.head.autoscale import CALM, Limits
from offload.deploy.lifecycle import local as launch
from offload.errors import OffloadError, UsageError
from offload.registry.deployments import Place, Registry
from offload.util.quantities import parse_limits
from tests.conftest import Offload
from tests.deploy.test_local import connected, eventually

SECONDS = 60.0


def test_more_come_at_once() -> None:
    limits = Limits(1, 5)
    assert limits.target(0, 0, 0.0) == 1
    assert limits.target(1, 3, 0.1) == 3
    assert limits.target(3, 99, 0.2) == 5


def test_fewer_come_after_some_calm() -> None:
    limits = Limits(0, 5)
    assert [limits.target(4, 0, now) for now in (0.0, CALM - 0.1, CALM)] == [4, 4, 0]


def test_the_calm_begins_anew_when_all_are_wanted() -> None:
    limits = Limits(0, 5)
    assert [limits.target(4, wanted, now) for wanted, now in ((0, 0.0), (4, CALM), (0, CALM + 1))] == [4, 4, 4]


def test_what_was_wanted_meanwhile_stays() -> None:
    limits = Limits(0, 5)
    assert [limits.target(4, wanted, now) for wanted, now in ((0, 0.0), (2, 1.0), (0, CALM))] == [4, 4, 2]


@pytest.mark.parametrize("text", ["", "-1", "a", "1-", "-", "3-2", "1-2-3", "1.5"])
def test_numbers_of_workers_that_cannot_be(text: str) -> None:
    with pytest.raises(UsageError):
        parse_limits(text)


@pytest.mark.parametrize("wrong", [{"minimum": -1}, {"minimum": 3, "maximum": 2}])
def test_limits_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Spec(**wrong)  # type: ignore[arg-type]


@pytest.fixture
def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    registry = Registry(str(home))
    launch.up(registry, Spec(name="test", minimum=0, maximum=3), print)
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "test")
    place = registry.get("test")
    yield place
    submit.shutdown()
    launch.down(registry, place, print)


@api.task
def slow(number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number


@pytest.mark.real
def test_workers_come_and_go_with_the_work(place: Place) -> None:
    assert launch.status(place)["workers"] == []
    futures = slow.map(range(30), [0.5] * 30)
    eventually(lambda: len(connected(place)) == 3)
    assert api.gather(futures, timeout=SECONDS) == list(range(30))
    # The idle ones go, the one that is at work stays until it has finished.
    long = slow.submit(99, 12.0)
    eventually(lambda: len(connected(place)) == 1)
    assert not long.done()
    assert long.result(SECONDS) == 99
    eventually(lambda: launch.status(place)["workers"] == [])
    with client("test") as dask:  # plain Dask counts as well
        held = dask.submit(sum, [1, 2])
        assert held.result(SECONDS) == 3
        time.sleep(2 * CALM)
        assert len(connected(place)) == 1  # it holds what the client has not let go of
        assert held.result(SECONDS) == 3
        del held
    eventually(lambda: launch.status(place)["workers"] == [])


@pytest.mark.real
def test_a_worker_whose_job_service_has_died_is_not_idle(place: Place, offload: Offload, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"echo begun >> {log}; sleep {4 * CALM}; echo done"
    given = offload("run", "--on", "test", "--detach", "--", "sh", "-c", script)
    assert given.returncode == 0, given.stderr
    number = given.stdout.decode().strip()
    eventually(log.exists)
    (jobs,) = [service for service in launch.status(place)["services"] if service["name"] == "jobs"]
    os.kill(jobs["pid"], signal.SIGKILL)
    done = offload("wait", "--on", "test", number, timeout=SECONDS)
    assert done.stdout == b"done\n", done.stderr
    assert log.read_text() == "begun\n"  # once: no worker was sent away from it
    eventually(lambda: launch.status(place)["workers"] == [])


@pytest.mark.real
def test_the_number_is_fixed_and_freed(place: Place, offload: Offload) -> None:
    told = json.loads(offload("scale", "test", "2", "--json").stdout)
    assert (len(told["workers"]), told["adaptive"]) == (2, None)
    assert spec_of(place).workers == 2  # a head that comes back knows
    eventually(lambda: len(connected(place)) == 2)
    told = json.loads(offload("scale", "test", "0-1", "--json").stdout)
    assert told["adaptive"] == {"minimum": 0, "maximum": 1}
    eventually(lambda: launch.status(place)["workers"] == [])
    assert len(scaling.adapt(place, 1, 2)["workers"]) == 1
    assert (spec_of(place).minimum, spec_of(place).maximum) == (1, 2)
    with pytest.raises(OffloadError, match="smaller one first"):
        scaling.adapt(place, 2, 1)
    with pytest.raises(OffloadError, match="number from 0"):
        scaling.scale(place, -1)
