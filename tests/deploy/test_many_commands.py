"""Many short commands on a deployment travel together: what one of them does, or what is killed, costs no other."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from offload.commands.result import decode_record
from offload.errors import WorkerLostError
from offload.jobs.commands.protocol import Outcome, Watch
from offload.registry.deployments import Place
from offload.registry.session import current
from tests.deploy.test_commandjobs import Asker, shell
from tests.deploy.test_commandjobs import client as client
from tests.deploy.test_commandjobs import place as place
from tests.deploy.test_life import alive
from tests.deploy.test_local import connected, eventually

SEEDS = [int(seed) for seed in os.environ.get("CHAOS_SEEDS", "1").split(",")]
HARMS = int(os.environ.get("CHAOS_ROUNDS", "4"))
SECONDS = 240.0
LONG = 600.0

pytestmark = [pytest.mark.real, pytest.mark.timeout(420 + 60 * HARMS)]


def outcomes_of(client: Asker, jobs: list[int]) -> dict[int, Outcome]:
    """Follow jobs to their ends."""
    found: dict[int, Outcome] = {}
    deadline = time.monotonic() + SECONDS
    while len(found) < len(jobs):
        assert time.monotonic() < deadline, [client.info(job) for job in jobs if job not in found]
        wanted = Watch(client.name, {job: None for job in jobs if job not in found}, 5.0)
        for job, news in client.service.ask("/v1/commands/watch", wanted).items():
            if news.outcome is not None:
                found[job] = news.outcome
    return found


def warm(client: Asker) -> None:
    """Have it known that commands are short."""
    eventually(lambda: connected(client.place))
    outcomes_of(client, [ticket.job for ticket in client.submit(*(shell(f"echo warm {n}") for n in range(20)))])


def stored(outcome: Outcome) -> bytes:
    assert outcome.record is not None
    (data,) = current().store.get([decode_record(outcome.record).stdout])
    assert data is not None
    return data


def test_each_of_many_ends_for_itself(client: Asker) -> None:
    warm(client)
    killer = "kill -9 $(ps -o ppid= -p $PPID); sleep 1000"
    texts = [f"echo {number}" for number in range(60)]
    texts[20], texts[30], texts[40] = "echo 20; exit 7", "kill -9 $$", killer
    commands = [shell(text, timeout=LONG) for text in texts]
    tickets = client.submit(*commands)
    found = outcomes_of(client, [ticket.job for ticket in tickets])
    for number, (command, ticket) in enumerate(zip(commands, tickets, strict=True)):
        outcome = found[ticket.job]
        recorded = current().database.lookup([command.transformation])[0] is not None
        if number == 40:
            assert isinstance(outcome.error, WorkerLostError) and "3 times" in outcome.error.message
            assert not recorded
        elif number in (20, 30):
            assert (outcome.exit_code, recorded) == ({20: 7, 30: 137}[number], False)
        else:
            assert (outcome.error, outcome.exit_code, recorded) == (None, 0, True), (number, outcome)
            assert stored(outcome) == b"%d\n" % number


def test_long_ones_keep_no_others_waiting(client: Asker, place: Place) -> None:
    """There is one worker with one thread: the others wait for it in any case, but as jobs of the service."""
    warm(client)
    flag = Path("flag").absolute()
    long = shell(f"while [ ! -e {flag} ]; do sleep 0.05; done", detect=False, timeout=LONG)
    tickets = client.submit(long, *(shell(f"echo behind {number}") for number in range(20)))
    eventually(lambda: client.info(tickets[0].job).state == "running")
    eventually(lambda: all(client.info(ticket.job).state == "waiting" for ticket in tickets[1:]))
    told = client.service.ask("/v1/commands/cancel", [tickets[1].job])
    assert [info.state for info in told] == ["ended"]
    flag.touch()
    found = outcomes_of(client, [ticket.job for ticket in tickets])
    assert found[tickets[1].job].cancelled
    assert [found[ticket.job].exit_code for ticket in tickets if ticket is not tickets[1]] == [0] * 20


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_killed_all_are_computed(client: Asker, place: Place, seed: int) -> None:
    warm(client)
    chance = random.Random(seed)
    commands = [shell(f"sleep 0.02; echo {number}") for number in range(150)]
    jobs = [ticket.job for ticket in client.submit(*commands, detach=True)]
    for _ in range(HARMS):
        time.sleep(chance.uniform(0.2, 1.0))
        victim = chance.choice(["worker process", "jobs", "scheduler", "starter"])
        print("SIGKILL", victim, kill(place, victim), flush=True)
    found = outcomes_of(client, jobs)
    for number, job in enumerate(jobs):
        if isinstance(found[job].error, WorkerLostError):  # it happened to run each time
            assert HARMS > 2
            continue
        assert (found[job].error, found[job].exit_code) == (None, 0)
        assert stored(found[job]) == b"%d\n" % number
    again = client.submit(*commands)
    assert [ticket.recorded for ticket in again] == [found[job].exit_code == 0 for job in jobs]


def kill(place: Place, victim: str) -> int | None:
    pid = alive(place, "worker process" if victim == "starter" else victim)
    if pid is None:
        return None
    try:
        if victim == "starter":
            below = [p.pid for p in psutil.Process(pid).children() if "starter" in " ".join(p.cmdline())]
            pid = below[0] if below else None
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, psutil.Error):
        return None
    return pid
