"""What is shown of calls while they are waited for, and what is not."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time

import pytest

from offload import notices
from offload.engines.cluster_process import Scheduler, Worker
from offload.engines.heartbeats import Brief
from offload.tasks import claims, progress
from offload.tasks.futures import Future
from offload.tasks.gather import gather
from tests.compute.conftest import Script


def later(future: Future[int], seconds: float) -> None:
    timer = threading.Timer(seconds, future.set_result, [1])
    timer.start()


def test_that_workers_start_stands_beside_the_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seconds in (("DELAY", 0.0), ("INTERVAL", 0.01), ("PLAIN_INTERVAL", 0.01), ("LONG", 0.05)):
        monkeypatch.setattr(progress, name, seconds)
    future: Future[int] = Future()
    with progress.starting():
        later(future, 0.3)
        assert gather([future], progress=True) == [1]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("[........................] 0/1, 0 recalled, ")
    assert lines[0].endswith(" s, starting workers")
    assert lines[-1].startswith("[########################] 1/1, 0 recalled, ")
    assert lines[-1].endswith(" s")
    assert "offload: starting workers" not in lines
    other: Future[int] = Future()
    later(other, 0.1)
    gather([other], progress=True)
    assert "starting" not in capsys.readouterr().err


def test_a_start_that_takes_long_is_told_without_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LONG", 0.01)
    with progress.starting():
        time.sleep(0.3)
    assert capsys.readouterr().err == "offload: starting workers\n"
    monkeypatch.setattr(progress, "LONG", 0.2)
    with progress.starting():
        pass
    time.sleep(0.4)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("tell", [True, False])
def test_a_missed_heartbeat_is_a_line_at_most(tell: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def miss() -> None:
        async with (
            Scheduler(protocol="inproc", dashboard=False) as scheduler,
            Worker(scheduler.address) as worker,
        ):

            async def gone(**kwargs: object) -> None:
                raise OSError("it is gone")

            worker.scheduler.__dict__["heartbeat_worker"] = gone
            await worker.heartbeat()
            del worker.scheduler.__dict__["heartbeat_worker"]

    logger = logging.getLogger("distributed.worker")
    brief = Brief(tell)
    logger.addFilter(brief)
    try:
        asyncio.run(miss())
    finally:
        logger.removeFilter(brief)
    found = [record for record in caplog.records if "during heartbeat" in record.getMessage()]
    assert len(found) == int(tell)
    assert all(record.exc_info is None for record in found)


CLOSED = """
import os, time
import offload

@offload.task(effects="ignore")
def long(n):
    open("begun", "w").close()
    time.sleep(1)

with offload.Deployment(in_process=True):
    long.map(range(2))
    while not os.path.exists("begun"):
        time.sleep(0.01)
print("closed")
"""


def test_a_deployment_in_the_process_that_is_closed_while_calls_run_writes_no_line_of_dask(script: Script) -> None:
    assert script.output(CLOSED) == "closed\n"


def test_a_program_without_standard_error_is_told_nothing_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon may have closed it: `gather` raised an AttributeError there, and its results were lost."""
    monkeypatch.setattr(sys, "stderr", None)
    with progress.following([Future()], None):
        notices.tell("nothing")
    assert progress._screen()[0] == progress.PLAIN_INTERVAL
    claims.tell("nothing")
