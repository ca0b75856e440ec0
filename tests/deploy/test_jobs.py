"""Calls on a deployment: run by its workers, recorded there, and finished whatever is killed meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import offload
from offload.api import submit
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.deploy.status import report
from offload.errors import WorkFailedError
from offload.http.client import Client
from offload.jobs.calls import client as client_module
from offload.registry import waiting
from offload.registry.deployments import Place, Registry
from offload.storage.retrying import TELL_AFTER
from offload.util.processes import family
from tests.deploy.test_local import contact_of, eventually

pytestmark = pytest.mark.real

SECONDS = 120.0


@pytest.fixture
def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A deployment with two workers, which calls go to."""
    registry = Registry(str(home))
    launch.up(registry, Spec(name="test", workers=2), print)
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "test")
    place = registry.get("test")
    yield place
    submit.shutdown()
    launch.down(registry, place, print)


@offload.task(effects="ignore")
def work(log: str, number: int, seconds: float = 0.0) -> int:
    """Append to a log, wait, and return what tells that it ran on a worker of the deployment."""
    with open(log, "a") as file:
        file.write(f"{number} {os.getpid()}\n")
    time.sleep(seconds)
    return 2 * number


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.touch()
    return path


def numbers(log: Path) -> list[int]:
    return [int(line.split()[0]) for line in log.read_text().splitlines()]


def test_a_service_far_away_that_waits_with_us_has_answered(
    place: Place, log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its first connection may take so long that the calls are there when it is asked for what they gave."""
    fetch = client_module._fetch

    def late(service: Client, **asked: Any) -> Any:
        time.sleep(0.7)
        return fetch(service, **asked)

    monkeypatch.setattr(client_module, "_fetch", late)
    monkeypatch.setattr(waiting, "is_elsewhere", lambda place: True)
    assert work.submit(str(log), 3, 2 * TELL_AFTER).result(60) == 6
    assert "has not answered" not in capsys.readouterr().err


def test_calls_run_on_the_deployment_and_are_recalled_without_it(
    place: Place, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures = work.map([str(log)] * 50, range(50))
    assert offload.gather(futures, timeout=SECONDS) == [2 * n for n in range(50)]
    pids = {int(line.split()[1]) for line in log.read_text().splitlines()}
    assert pids <= set(family(contact_of(place).head["pid"]))
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT")
    assert work(str(log), 7) == 14
    assert all(f.recalled for f in work.map([str(log)] * 50, range(50)))
    assert sorted(numbers(log)) == list(range(50))


@offload.task
def turned(array: np.ndarray, number: int) -> np.ndarray:
    array += number
    return array[::-1]


def test_large_arguments_and_results_arrive_as_they_are(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "BYTES_PER_REQUEST", 20_000_000)
    array = np.random.default_rng().random(1_000_000)
    kept = array.copy()
    futures = turned.map([array] * 5, range(5))
    array[:] = 0  # the caller's own again from here on
    for number, found in enumerate(offload.gather(futures, timeout=SECONDS)):
        assert np.array_equal(found, (kept + number)[::-1])
        found[0] = 1.0
    assert all(future.recalled for future in turned.map([kept] * 5, range(5)))


def test_what_was_computed_before_is_recalled_on_the_deployment(place: Place, log: Path) -> None:
    assert work(str(log), 1) == 2
    future = work.submit(str(log), 1)
    assert future.result(SECONDS) == 2
    assert future.recalled


class Inner(Exception):
    pass


class End(BaseException):
    pass


def test_exceptions_come_back(place: Place, log: Path) -> None:
    @offload.task
    def fail(n: int) -> None:
        raise ValueError(f"no {n}")

    @offload.task
    def own(kind: str) -> None:
        if kind == "end":
            raise End("e")
        try:
            raise Inner(3, "i")
        except Inner as exc:
            raise RuntimeError("outer") from exc

    @offload.task
    def leave() -> None:
        sys.exit(0)

    failing = fail.submit(3), own.submit("inner"), own.submit("end"), leave.submit()
    others = work.map([str(log)] * 3, range(3))
    with pytest.raises(ValueError, match="no 3"):
        failing[0].result(SECONDS)
    with pytest.raises(RuntimeError, match="outer") as caught:
        failing[1].result(SECONDS)
    assert type(caught.value.__cause__) is Inner
    assert caught.value.__cause__.args == (3, "i")
    with pytest.raises(End, match="e"):
        failing[2].result(SECONDS)
    with pytest.raises(WorkFailedError, match=r"called sys\.exit\(0\)"):
        failing[3].result(SECONDS)
    # The answers to other calls of the same client, also of later ones, are none of theirs.
    assert [other.result(SECONDS) for other in others] == [0, 2, 4]
    assert work(str(log), 9) == 18


def test_a_client_that_goes_away_leaves_its_calls_behind(place: Place, log: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import offload, sys, time\n"
        "@offload.task\n"
        "def slow(log, n):\n"
        "    time.sleep(1)\n"
        "    open(log, 'a').write(f'{n} 0\\n')\n"
        "    return n\n"
        "futures = slow.map([sys.argv[1]] * 4, range(4))\n"
        "if len(sys.argv) > 2:\n"
        "    print(offload.gather(futures), sum(f.recalled for f in futures))\n"
    )
    began = time.monotonic()
    subprocess.run([sys.executable, script, log], check=True, timeout=SECONDS)
    eventually(lambda: sorted(numbers(log)) == [0, 1, 2, 3])
    assert time.monotonic() - began >= 2
    time.sleep(1)  # the last ones are being recorded
    again = subprocess.run([sys.executable, script, log, "x"], check=True, timeout=SECONDS, capture_output=True)
    assert again.stdout.split()[-1] == b"4"
    assert sorted(numbers(log)) == [0, 1, 2, 3]


SLEEPER = (
    "import offload, os, sys, time\n"
    "@offload.task(effects='ignore')\n"
    "def slow(log, n, seconds):\n"
    "    open(log, 'a').write(f'{n} {os.getpid()}\\n')\n"
    "    time.sleep(seconds)\n"
    "    return n\n"
    "print(offload.gather(slow.map([sys.argv[1]] * 2, range(2), [float(sys.argv[2])] * 2)))\n"
)


def test_calls_that_are_cancelled_end_where_nobody_else_waits(place: Place, log: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SLEEPER)
    clients = [subprocess.Popen([sys.executable, script, log, "1000"], stderr=subprocess.PIPE) for _ in range(2)]
    eventually(lambda: len(numbers(log)) == 2)
    eventually(lambda: _status(place)["clients"] == 2)
    runners = [int(line.split()[1]) for line in log.read_text().splitlines()]
    clients[0].send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in clients[0].communicate(timeout=SECONDS)[1]
    assert _status(place)["calls"] == {"__main__:slow": 2}
    assert all(map(psutil.pid_exists, runners))
    clients[1].send_signal(signal.SIGINT)
    clients[1].communicate(timeout=SECONDS)
    eventually(lambda: _status(place)["under_way"] == 0)
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in runners))
    futures = work.map([str(log)] * 6, range(10, 16), [1000.0] * 6)
    eventually(lambda: len(numbers(log)) >= 4)
    assert [future.cancel() for future in futures] == [True] * len(futures)
    assert work.submit(str(log), 3).result(SECONDS) == 6


def test_a_client_that_is_killed_leaves_its_calls_behind(place: Place, log: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SLEEPER)
    client = subprocess.Popen([sys.executable, script, log, "3"])
    eventually(lambda: len(numbers(log)) == 2)
    client.kill()
    client.wait()
    eventually(lambda: _status(place)["under_way"] == 0)
    output = subprocess.check_output([sys.executable, script, log, "3"], timeout=SECONDS)
    assert output == b"[0, 1]\n"
    assert len(numbers(log)) == 2


def _status(place: Place) -> dict[str, Any]:
    jobs = report(place)["jobs"]
    assert jobs is not None
    return dict(jobs)


def test_two_clients_that_ask_for_the_same_get_one_run(place: Place, log: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import offload, sys, time\n"
        "@offload.task\n"
        "def slow(log, n):\n"
        "    open(log, 'a').write(f'{n} 0\\n')\n"
        "    time.sleep(3)\n"
        "    return n\n"
        "print(offload.gather(slow.map([sys.argv[1]] * 2, range(2))))\n"
    )
    clients = [subprocess.Popen([sys.executable, script, log], stdout=subprocess.PIPE) for _ in range(2)]
    for client in clients:
        output, _ = client.communicate(timeout=SECONDS)
        assert output == b"[0, 1]\n"
    assert sorted(numbers(log)) == [0, 1]
