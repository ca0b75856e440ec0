"""Workers take nothing on that their walltime would end; what is longer than any walltime fails, and says so."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from distributed import Client, Worker

from offload.batch import JobState, Phase
from offload.deploy.services.dask import HeadScheduler
from offload.deploy.services.task_durations import COMMAND
from offload.deploy.workers.allocation import Allocation as Job
from offload.errors import WalltimeError
from offload.registry.deployments import Place
from tests.deploy.workers.test_allocations import queue_of
from tests.deploy.workers.test_queued import Faulty


@pytest.mark.parametrize(
    ("whole", "longest", "margin"),
    [
        (3600, 0.0, 300.0),
        (600, 0.0, 60.0),
        (60, 0.0, 20.0),
        (3600, 480.0, 528.0),
        (3600, 9999.0, 1800.0),
        (30, 0.0, 15.0),
    ],
)
def test_how_long_before_its_end_a_worker_goes(tmp_path: Path, whole: int, longest: int, margin: int) -> None:
    job = Job("worker-0", queue_of(tmp_path, Faulty()), "log", 1)
    job.see(JobState(Phase.RUNNING, start=1000.0, finish=1000.0 + whole), ["c1"])
    assert job.margin(longest) == pytest.approx(margin)


async def worked(path: Path, whole: float, ends: bool) -> tuple[list[list[float]], BaseException | None]:
    """Have workers lost under a task, one after the other; what is known after the first time, and its error."""
    async with HeadScheduler(
        str(path / "socket"), Place(str(path)), host="127.0.0.1", dashboard_address=None
    ) as scheduler:
        durations = scheduler.durations
        async with Client(scheduler.address, asynchronous=True) as client:
            task = client.submit(time.sleep, 1.5, key="call", pure=False)
            known: list[list[float]] = []
            for number in range(2):
                async with Worker(scheduler.address, name=f"worker-{number}", nthreads=1) as worker:
                    if ends:
                        durations.walltimes({worker.name: [time.time(), whole]})
                    async with asyncio.timeout(30):
                        while not any(one.executing for one in scheduler.workers.values()):
                            await asyncio.sleep(0.05)
                            await worker.heartbeat()
                    await scheduler.remove_worker(worker.address, stimulus_id="test")
                known = known or durations.walltimes({})
            async with Worker(scheduler.address, name="worker-2", nthreads=1):
                async with asyncio.timeout(30):
                    return known, await task.exception()


def test_a_call_that_runs_into_two_walltimes_fails(tmp_path: Path) -> None:
    known, error = asyncio.run(worked(tmp_path, 0.0, ends=True))
    assert [whole for _, whole in known] == [0.0]
    assert isinstance(error, WalltimeError) and "walltime of its worker" in error.message


def test_one_that_has_begun_late_does_not_count(tmp_path: Path) -> None:
    assert asyncio.run(worked(tmp_path, 1000.0, ends=True)) == ([], None)


def test_a_worker_that_is_lost_before_its_walltime_does_not_count(tmp_path: Path) -> None:
    assert asyncio.run(worked(tmp_path, 0.0, ends=False)) == ([], None)


def test_a_command_is_known_by_its_number(tmp_path: Path) -> None:
    async def main() -> BaseException | None:
        async with (
            HeadScheduler(
                str(tmp_path / "socket"), Place(str(tmp_path)), host="127.0.0.1", dashboard_address=None
            ) as scheduler,
            Client(scheduler.address, asynchronous=True) as client,
            Worker(scheduler.address, name="worker-0", nthreads=1),
        ):
            durations = scheduler.durations
            durations.walltimes({"worker-0": [time.time(), 0.0]})
            for number in range(2):  # given up when its worker was told to end
                await client.submit(int, key=f"{COMMAND}7-{number}", pure=False)
            assert 0 <= durations.longest()["worker"] < 5.0
            assert await client.submit(int, key=f"{COMMAND}71-0", pure=False) == 0
            error: BaseException | None = await client.submit(
                time.sleep, 5, key=f"{COMMAND}7-2", pure=False
            ).exception()
            return error

    assert isinstance(asyncio.run(main()), WalltimeError)
