"""Workers of which nothing is heard: frozen ones are replaced, those that are at work are not."""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any

import psutil
import pytest
from distributed import Client, Nanny, Scheduler
from distributed.core import Status

from offload.engines import frozen_workers
from offload.engines.cluster_process import Scheduler as OwnScheduler
from offload.engines.frozen_workers import Silent
from offload.engines.nanny import DISK, STOPPED, WatchingNanny, look
from offload.engines.worker_states import ENGAGED, SILENT, worker_row
from offload.jobs.waits import waiting

Body = Callable[[Scheduler, list[Any], Client], Coroutine[Any, Any, None]]


def play(body: Body, monkeypatch: pytest.MonkeyPatch, kinds: tuple[type, ...] = (WatchingNanny, WatchingNanny)) -> None:
    """Run something on a scheduler with real workers, whose silence counts after a second or two."""
    times = {"TOLD_AFTER": 1.5, "GIVEN_UP_AFTER": 4.0, "SURE_AFTER": 1.0, "BLIND_AFTER": 6.0, "LOOK_EVERY": 0.3}
    for name, seconds in times.items():
        monkeypatch.setattr(frozen_workers, name, seconds)
    monkeypatch.setattr(frozen_workers, "ASK_SECONDS", 0.5)

    async def main() -> None:
        async with OwnScheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
            nannies = [
                await kind(scheduler.address, nthreads=1, name=f"w-{n}", dashboard_address=None)
                for n, kind in enumerate(kinds)
            ]
            async with Client(scheduler.address, asynchronous=True) as client:
                try:
                    await body(scheduler, nannies, client)
                finally:
                    for nanny in nannies:
                        await nanny.close()

    asyncio.run(asyncio.wait_for(main(), 120))


async def until(what: Callable[[], Any]) -> Any:
    async with asyncio.timeout(60):
        while not (found := what()):
            await asyncio.sleep(0.05)
    return found


@pytest.mark.real
def test_a_stopped_worker_is_replaced_and_its_calls_go_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(scheduler: Scheduler, nannies: list[Any], client: Client) -> None:
        first, second = nannies
        frozen = first.pid
        os.kill(frozen, signal.SIGSTOP)
        state = scheduler.workers[first.worker_address]
        await until(lambda: state.status is Status.paused)
        assert scheduler.handlers["silence"]()["silent"] == {"w-0": "its process has been stopped"}
        elsewhere = await client.gather([client.submit(os.getpid, pure=False) for _ in range(4)])
        assert set(elsewhere) == {second.pid}  # nothing new is given to it
        await until(lambda: first.pid not in (None, frozen))
        assert not psutil.pid_exists(frozen)
        await until(lambda: "w-0" in scheduler.aliases)
        assert scheduler.handlers["silence"]() == {"silent": {}, "unreached": {}}

    play(body, monkeypatch)


@pytest.mark.real
@pytest.mark.parametrize("kind", ["sleep", "pattern"])
def test_a_worker_whose_code_holds_the_lock_is_left_alone(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    async def body(scheduler: Scheduler, nannies: list[Any], client: Client) -> None:
        (nanny,) = nannies
        if kind == "sleep":
            future = client.submit(lambda: ctypes.PyDLL(None).sleep(8), pure=False)
        else:
            future = client.submit(long_match, pure=False)
        pid = nanny.pid
        await until(lambda: scheduler.handlers["silence"]()["silent"] == {"w-0": ENGAGED})
        await future
        assert nanny.pid == pid
        state = scheduler.workers[nanny.worker_address]
        await until(lambda: state.status is Status.running)
        assert await client.submit(os.getpid, pure=False) == pid

    play(body, monkeypatch, (WatchingNanny,))


def long_match() -> bool:
    """Hold Python's lock for longer than a frozen worker is waited for, with patterns that take longer and longer."""
    begun, size = time.monotonic(), 20
    while time.monotonic() - begun < 8:
        re.match(r"(a|aa)+$", "a" * size + "b")
        size = min(size + 1, 36)
    return True


@pytest.mark.real
def test_one_whose_nanny_is_frozen_too_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(scheduler: Scheduler, nannies: list[Any], client: Client) -> None:
        (nanny,) = nannies
        address, pid = nanny.worker_address, nanny.pid
        monkeypatch.setattr(nanny, "identity", None)
        nanny.handlers["identity"] = lambda: asyncio.sleep(3600)  # it does not answer
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: address not in scheduler.workers)
        assert scheduler.handlers["silence"]()["unreached"] == {"w-0": address}
        os.kill(pid, signal.SIGKILL)
        await until(lambda: "w-0" in scheduler.aliases)
        await until(lambda: not scheduler.handlers["silence"]()["unreached"])

    play(body, monkeypatch, (WatchingNanny,))


@pytest.mark.real
def test_one_that_nobody_can_look_at_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(scheduler: Scheduler, nannies: list[Any], client: Client) -> None:
        (nanny,) = nannies
        address, pid = nanny.worker_address, nanny.pid
        os.kill(pid, signal.SIGSTOP)
        stopped = time.monotonic()
        await until(lambda: address not in scheduler.workers)
        assert time.monotonic() - stopped > frozen_workers.GIVEN_UP_AFTER
        os.kill(pid, signal.SIGKILL)

    play(body, monkeypatch, (Nanny,))


def test_what_a_nanny_sees_decides() -> None:
    one = Silent()
    for now in (20.0, 40.0, 60.0, 80.0):  # a disk that gives something now and then
        one.see({"worker": {"state": DISK, "cpu": now}}, True, now)
    assert not one.is_lost(80.0, 80.0)
    for now in (85.0, 100.0, 120.0):
        one.see({"worker": {"state": DISK, "cpu": 80.0}}, True, now)
    assert one.is_lost(120.0, 120.0)
    one.see({"worker": {"state": "", "cpu": 80.0}}, True, 125.0)  # it is waited for, by code in C
    assert one.how == ENGAGED
    assert not one.is_lost(10_000.0, 10_000.0)
    one.see(None, True, 130.0)
    assert one.unreached
    assert not one.is_lost(135.0, 135.0)
    assert one.is_lost(165.0, 165.0)
    one.see(None, False, 170.0)
    assert not one.is_lost(299.0, 299.0)
    assert one.is_lost(301.0, 301.0)


def test_how_a_process_is() -> None:
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    process.start()
    assert process.pid is not None
    try:
        assert look(process.pid)["state"] in ("", DISK)
        os.kill(process.pid, signal.SIGSTOP)
        deadline = time.monotonic() + 30
        while look(process.pid)["state"] != STOPPED:
            assert time.monotonic() < deadline
    finally:
        process.kill()
        process.join()
    assert look(process.pid) == {"state": "gone", "cpu": 0.0}
    assert look(None) == {"state": "gone", "cpu": 0.0}


def test_only_frozen_workers_are_a_reason_to_wait() -> None:
    worker = worker_row({"name": "w-0", "state": SILENT, "seconds": 23.4, "says": ENGAGED})
    told: dict[str, Any] = {"services": [], "workers": [worker], "jobs": {}, "groups": []}
    assert waiting(told, "2 calls", False) == []
    worker["says"] = "its process has been stopped"
    assert waiting(told, "2 calls", False) == [
        "2 calls wait: no worker answers: w-0 has not been heard of for 23 s: its process has been stopped"
    ]
