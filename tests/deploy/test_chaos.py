"""Whatever is killed or stopped, and in whatever order: no result is lost, and what is recorded is not computed again.

The order comes from a seed. ``CHAOS_SEEDS=2,3,4 CHAOS_ROUNDS=40`` chooses other seeds, and a longer run.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

import offload
from offload.errors import WorkerLostError
from offload.registry.deployments import Place
from tests.deploy.test_life import alive
from tests.deploy.test_life import place as place
from tests.deploy.test_life import registry as registry

SEEDS = [int(seed) for seed in os.environ.get("CHAOS_SEEDS", "1").split(",")]
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "8"))
SECONDS = 600.0
OTHERS = ["scheduler", "jobs", "storage", "worker process", "worker loop", "head"]

pytestmark = [pytest.mark.real, pytest.mark.timeout(300 + 60 * ROUNDS)]


@offload.task(effects="ignore")  # the log is for the test
def work(log: str, number: int) -> int:
    """Say that it begins, and where; wait; and say that it has ended."""
    for words in (f"{number} {os.getpid()}\n", f"{number} ended\n"):
        with open(log, "a") as file:
            file.write(words)
        time.sleep(1.0)
    return 2 * number


def running(log: Path) -> dict[int, int]:
    """Return the calls that have begun and not ended, with their processes."""
    found: dict[int, int] = {}
    for line in log.read_text().splitlines():
        number, what = line.split()
        if what == "ended":
            found.pop(int(number), None)
        elif psutil.pid_exists(int(what)):
            found[int(number)] = int(what)
    return found


class Chaos:
    """Does harm to a deployment in an order that comes from a seed."""

    def __init__(self, place: Place, log: Path, seed: int) -> None:
        self._place = place
        self._log = log
        self._chance = random.Random(seed)
        self._stopped: list[tuple[float, int]] = []
        self.hit = Counter[int]()  # how often a call was running when something was harmed that may end it

    def harm(self) -> str:
        """Kill or stop something; what has been stopped, other than processes of calls, goes on after some seconds."""
        for until, pid in self._stopped:
            if until < time.monotonic() and psutil.pid_exists(pid):
                os.kill(pid, signal.SIGCONT)
        victim = self._chance.choice(["runner", "runner", "warden", *OTHERS])
        how = signal.SIGSTOP if self._chance.random() < 0.4 else signal.SIGKILL
        under_way = running(self._log)
        self.hit.update(under_way)
        if victim in OTHERS:
            doomed = alive(self._place, victim)
        else:
            doomed = self._chance.choice([*under_way.values()]) if under_way else None
            if doomed is not None and victim == "warden":
                doomed = psutil.Process(doomed).ppid()
        if doomed is None or not psutil.pid_exists(doomed):
            return f"no {victim}"
        os.kill(doomed, how)
        if how is signal.SIGSTOP and victim != "runner":
            self._stopped.append((time.monotonic() + self._chance.uniform(1, 10), doomed))
        return f"{how.name} {victim} {doomed}"

    def end(self) -> None:
        """Let all go on that was stopped for a while."""
        self._stopped = [(0.0, pid) for _, pid in self._stopped]
        for _, pid in self._stopped:
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_map_completes(place: Place, tmp_path: Path, seed: int) -> None:
    log, chaos = tmp_path / "log", Chaos(place, tmp_path / "log", seed)
    log.touch()
    calls = 12 * ROUNDS
    futures = work.map([str(log)] * calls, range(calls))
    try:
        for _ in range(ROUNDS):
            least = sum(future.done() for future in futures) + 5
            until = time.monotonic() + 20.0  # it may be that nothing goes on before another harm is undone
            while sum(future.done() for future in futures) < least and time.monotonic() < until:
                time.sleep(0.1)
            done = {number for number, future in enumerate(futures) if future.done()}
            seen = len(log.read_text().splitlines())
            print(chaos.harm(), f"with {len(done)} of {calls} done", flush=True)
            time.sleep(1.0)
            again = {int(line.split()[0]) for line in log.read_text().splitlines()[seen:] if "ended" not in line}
            assert not done & again
    finally:
        chaos.end()
    found = offload.gather(futures, timeout=SECONDS, return_exceptions=True)
    for number, value in enumerate(found):
        if isinstance(value, WorkerLostError):
            assert chaos.hit[number] > 1, value  # a call that is ended twice is taken to be the reason
        else:
            assert value == 2 * number
    again_all = work.map([str(log)] * calls, range(calls))
    assert [future.recalled for future in again_all] == [not isinstance(one, WorkerLostError) or None for one in found]
    assert offload.gather(again_all, timeout=SECONDS) == [2 * number for number in range(calls)]
