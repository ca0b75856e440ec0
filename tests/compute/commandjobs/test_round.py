"""Commands that a worker runs one after the other: each ends, is cancelled or given back for itself."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from offload.jobs.commands.protocol import Begun, Report
from offload.jobs.worker import round as module
from offload.jobs.worker.round import Round
from offload.jobs.worker.starter import Resident
from offload.registry.session import current
from tests.compute.commandjobs.conftest import plan_of


class Told:
    """What the service hears of each job; it lets go on what it does not refuse."""

    def __init__(self) -> None:
        self.out: dict[int, bytes] = {}
        self.last: dict[int, Report] = {}
        self.refused: set[int] = set()
        self.requests = 0
        self.heard = threading.Condition()

    def ask(self, path: str, reports: Any) -> list[bool]:
        assert path == "/v1/attempts/report"
        with self.heard:
            self.requests += 1
            for report in reports:
                self.out[report.job] = self.out.get(report.job, b"") + report.stdout
                if report.outcome is not None or report.given_up or report.given_back:
                    assert report.job not in self.last
                    self.last[report.job] = report
            self.heard.notify_all()
            return [report.job not in self.refused for report in reports]

    def wait(self, job: int, out: bytes) -> None:
        with self.heard:
            assert self.heard.wait_for(lambda: out in self.out.get(job, b""), 60)

    def code(self, job: int) -> int | None:
        outcome = self.last[job].outcome
        assert outcome is not None
        return outcome.exit_code


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing given back, however slow this machine is."""
    monkeypatch.setattr(module, "HELD_UP", float("inf"))
    monkeypatch.setattr(module, "LONGEST", float("inf"))


@pytest.fixture
def resident(home: Path) -> Iterator[Resident]:
    resident = Resident()
    yield resident
    resident.close()


def turn(told: Told, resident: Resident, *texts: str) -> Round:
    plans = [plan_of(text) for text in texts]
    begun = [
        Begun(number, 1, pickle.dumps(plan, protocol=5), os.getcwd(), os.environ["PATH"])
        for number, plan in enumerate(plans, 1)
    ]
    return Round(told.ask, begun, current(), resident)


def test_each_command_has_its_own_end(patient: None, resident: Resident) -> None:
    told = Told()
    turn(told, resident, "echo one", "echo two; exit 3", "kill -9 $$", "echo four").run()
    assert told.out == {1: b"one\n", 2: b"two\n", 3: b"", 4: b"four\n"}
    assert [told.code(job) for job in (1, 2, 3, 4)] == [0, 3, 137, 0]
    for job, kept in ((1, True), (2, False), (3, False), (4, True)):
        outcome = told.last[job].outcome
        assert outcome is not None and (outcome.entry is not None) == kept


def test_what_waits_for_a_long_one_is_given_back(resident: Resident, tmp_path: Path) -> None:
    told = Told()
    one = turn(
        told, resident, f"echo on; while [ ! -e {tmp_path}/end ]; do sleep 0.05; done", "echo second", "echo third"
    )
    thread = threading.Thread(target=one.run)
    thread.start()
    told.wait(1, b"on\n")  # its output comes while it runs
    with told.heard:
        assert told.heard.wait_for(lambda: {2, 3} <= set(told.last), 60)
    assert told.last[2].given_back
    assert told.last[3].given_back
    assert 1 not in told.last
    (tmp_path / "end").touch()
    thread.join(60)
    assert told.code(1) == 0
    assert (told.out[2], told.out[3]) == (b"", b"")


def test_a_refused_command_ends_and_the_next_one_runs(patient: None, resident: Resident) -> None:
    told = Told()
    told.refused = {1, 2}
    turn(told, resident, "sleep 600", "echo never", "echo third").run()
    first, second = told.last[1].outcome, told.last[2].outcome
    assert first is not None and first.cancelled
    assert second is not None
    assert second.cancelled
    assert told.out[2] == b""
    assert told.code(3) == 0


def test_a_worker_that_closes_gives_up_all_that_has_not_ended(patient: None, resident: Resident) -> None:
    told = Told()
    one = turn(told, resident, "echo first", "echo on; sleep 600", "echo third")
    thread = threading.Thread(target=one.run)
    thread.start()
    told.wait(2, b"on\n")
    one.stop()
    thread.join(60)
    assert one.stopping
    assert told.code(1) == 0
    assert told.last[2].given_up
    assert told.last[3].given_up


def test_a_starter_that_is_killed_costs_one_command(patient: None, resident: Resident) -> None:
    told = Told()
    turn(told, resident, "echo first", "kill -9 $PPID; sleep 600", "echo third").run()
    assert told.code(1) == 0
    second = told.last[2].outcome
    assert second is not None and second.error is not None
    assert "killed" in second.error.message
    assert told.code(3) == 0
