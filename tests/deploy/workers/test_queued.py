"""The queue of workers that are jobs, with a batch system that fails as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from offload.batch import BatchAwayError, BatchSystem, JobRequest, JobState, Phase, base
from offload.batch.state import End
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import batch_job
from offload.deploy.workers import allocation as job_
from offload.deploy.workers import batch_queue, submission
from offload.deploy.workers.batch_queue import Queue
from offload.errors import OffloadError
from offload.registry.deployments import Place, Registry

Fault = Exception | None


class Faulty(BatchSystem):
    """A batch system in memory, whose next answers may be failures."""

    name, title = "faulty", "Faulty"
    away: ClassVar[str] = "away"

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, JobState] = {}
        self.names: dict[str, str] = {}
        self.hides = 0  # so many times, nobody sees what has just been taken
        self.faults: dict[str, list[Fault]] = {"submit": [], "arrived": [], "query": []}

    def _fail(self, what: str) -> None:
        if self.faults[what] and (fault := self.faults[what].pop(0)):
            raise fault

    def _script(self, request: JobRequest) -> str:
        return request.name

    def submit(self, script: str) -> str:
        self._fail("submit")
        job = str(len(self.jobs) + 1)
        self.jobs[job], self.names[job] = JobState(Phase.RUNNING), script
        self._fail("arrived")  # it has been taken, and the answer is lost
        return job

    def query(self, jobs: Sequence[str]) -> dict[str, JobState]:
        self._fail("query")
        return {job: self.jobs[job] for job in jobs}

    def cancel(self, jobs: Sequence[str]) -> None:
        for job in jobs:
            self.jobs[job] = JobState(Phase.ENDED, end=End.CANCELLED)

    def mine(self, label: str) -> dict[str, str]:
        if self.hides:
            self.hides -= 1
            return {}
        return {job: name for job, name in self.names.items() if name.startswith(label) and not self.jobs[job].is_over}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOON", "LATER", "FIRST_PAUSE", "KNOWN_AFTER"):
        monkeypatch.setattr(batch_queue, name, 0.02)
    monkeypatch.setattr(job_, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(batch_queue, "FIND_PAUSE", 0.02)
    monkeypatch.setattr(submission, "ARRIVES_SECONDS", 1.0)
    monkeypatch.setattr(base, "ARRIVES_SECONDS", 1.0)
    monkeypatch.setattr(base, "POLL", 0.02)


class Arrays(Faulty):
    """One that takes many jobs at once, and may refuse that."""

    refuses = False

    def _script(self, request: JobRequest) -> str:
        return f"{request.name} {request.array or 0} {request.first} {request.log}"

    def submit(self, script: str) -> str:
        name, array, first, _ = script.split()
        if array == "0":
            return super().submit(name)
        if self.refuses:
            raise OffloadError("no more than that")
        base = str(len(self.jobs) + 1)
        for number in range(int(first), int(first) + int(array)):
            self.jobs[f"{base}_{number}"], self.names[f"{base}_{number}"] = JobState(Phase.RUNNING), name
        self._fail("arrived")
        return base

    def parts(self, job: str, request: JobRequest) -> list[str]:
        if request.array is None:
            return [job]
        return [f"{job}_{number}" for number in range(request.first, request.first + request.array)]

    def part(self, job: str) -> int | None:
        return int(job.partition("_")[2]) if "_" in job else None


def run(path: Path, system: Faulty, until: Callable[[Queue], bool], names: Sequence[str] = ("worker-0",)) -> list[str]:
    """Have workers wanted until something is so; give what was said."""
    said: list[str] = []

    async def main() -> None:
        place = Place(str(path))
        queue = Queue(place, system, lambda name: JobRequest(f"offload.x.{name}", ("true", name)), said.append)
        workers = [queue.make(name) for name in names]
        for worker in workers:
            worker.start()
        async with asyncio.timeout(30):
            while not until(queue):
                await asyncio.sleep(0.01)
        await asyncio.gather(*(worker.end() for worker in workers))
        await queue.close()

    asyncio.run(main())
    return said


def living(system: Faulty) -> list[str]:
    return [job for job, state in system.jobs.items() if not state.is_over]


def test_a_job_that_ends_is_submitted_again_and_cancelled_at_the_end(tmp_path: Path) -> None:
    system = Faulty()

    def until(_: Queue) -> bool:
        if "1" in system.jobs and "2" not in system.jobs:
            system.jobs["1"] = JobState(Phase.ENDED, end=End.NODE_FAILED)
        return "2" in system.jobs

    said = run(tmp_path, system, until)
    assert any("job 1 node failed" in line for line in said)
    assert living(system) == []


@pytest.mark.parametrize("error", [BatchAwayError("it is away"), OffloadError("squeue failed: oddly")])
def test_whatever_the_batch_system_says_the_jobs_are_looked_after(tmp_path: Path, error: Exception) -> None:
    system = Faulty()
    system.faults["query"] = [error]

    def until(_: Queue) -> bool:
        if not system.faults["query"] and "1" in system.jobs and "2" not in system.jobs:
            system.jobs["1"] = JobState(Phase.ENDED, end=End.TIMEOUT)
        return "2" in system.jobs

    said = run(tmp_path, system, until)
    assert str(error.args[0]) in said and "Faulty answers again" in said


def test_a_submission_whose_answer_was_lost_is_not_made_twice(tmp_path: Path) -> None:
    system = Faulty()
    system.faults["arrived"] = [BatchAwayError("it is away")]
    said = run(tmp_path, system, lambda queue: queue._jobs["worker-0"].id == "1")
    assert list(system.jobs) == ["1"]
    assert "worker-0 is job 1 of Faulty" in said
    assert living(system) == []


def test_a_job_that_shows_some_time_later_is_not_made_twice(tmp_path: Path) -> None:
    system = Faulty()
    system.faults["arrived"] = [BatchAwayError("it took the job and said no number")]
    system.hides = 5
    reasons: set[str] = set()

    def until(queue: Queue) -> bool:
        reasons.add(queue._jobs["worker-0"].state.reason)
        return queue._jobs["worker-0"].id == "1"

    run(tmp_path, system, until)
    assert system.hides == 0
    assert list(system.jobs) == ["1"]
    assert "its submission had no clear answer; looking for it" in reasons


def test_one_that_goes_and_shows_some_time_later_leaves_no_job(tmp_path: Path) -> None:
    system = Faulty()
    system.faults["arrived"] = [BatchAwayError("it is away")]
    system.hides = 5
    run(tmp_path, system, lambda _: "1" in system.jobs)
    assert living(system) == []


def test_a_single_job_is_looked_for_too(tmp_path: Path) -> None:
    """Of the doctor, and a head."""
    system, request = Faulty(), JobRequest("offload.x", ("true",))
    system.faults["arrived"] = [None, BatchAwayError("it took the job and said no number")]
    assert system.submit_once(request) == "1"
    system.hides = 3
    assert system.submit_once(request, others=["1"]) == "2"  # the other one of this name is not it
    assert system.named("offload.x") == "2" and system.named("offload") is None
    system.faults["submit"] = [BatchAwayError("it is away")]
    with pytest.raises(BatchAwayError, match="it is away"):
        system.submit_once(request, others=["1", "2"])


def test_a_head_is_not_submitted_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, spec = Faulty(), Spec(name="hpc", keep="slurm")
    monkeypatch.setattr(batch_job, "batch_system", lambda _: system)
    place = Registry(str(tmp_path)).create("hpc", spec.to_json())
    system.faults["arrived"] = [BatchAwayError("it took the job and said no number")]
    system.hides = 10_000
    with pytest.raises(BatchAwayError):
        batch_job.submit(place, spec)
    system.hides = 0  # whoever tries again finds it
    assert batch_job.submit(place, spec) == "1"
    assert batch_job.submit(place, spec, after="1") == "2"  # one that takes over is another one
    assert list(system.jobs) == ["1", "2"]


def test_one_that_goes_before_its_submission_was_answered_leaves_no_job(tmp_path: Path) -> None:
    system = Faulty()
    system.faults["arrived"] = [BatchAwayError("it is away")]
    run(tmp_path, system, lambda _: "1" in system.jobs)
    assert living(system) == []


def test_a_submission_that_never_arrived_is_made_again(tmp_path: Path) -> None:
    system = Faulty()
    system.faults["submit"] = [BatchAwayError("it is away")]
    run(tmp_path, system, lambda _: bool(system.jobs))
    assert list(system.jobs) == ["1"]


MANY = ["worker-3", "worker-4", "worker-5", "gpu-0", "gpu-1", "worker-7", "worker-1001"]


def ids(queue: Queue) -> dict[str, str | None]:
    return {name: job.id for name, job in queue._jobs.items()}


def test_many_jobs_are_submitted_at_once_and_each_is_one_of_its_own(tmp_path: Path) -> None:
    system = Arrays()
    first = {
        "worker-3": "1_3", "worker-4": "1_4", "worker-5": "1_5", "gpu-0": "4_0", "gpu-1": "4_1", "worker-7": "6",
        "worker-1001": "7",
    }  # fmt: skip
    seen: list[dict[str, str | None]] = []

    def until(queue: Queue) -> bool:
        if ids(queue) == first and not seen:
            seen.append(ids(queue))
            system.jobs["1_4"] = JobState(Phase.ENDED, end=End.CANCELLED)
        return ids(queue) == {**first, "worker-4": "8"}

    run(tmp_path, system, until, MANY)
    assert seen == [first]
    assert {system.names[job] for job in ("1_3", "1_4", "1_5")} == {"offload.x.worker-3-5"}
    assert living(system) == []


def test_many_whose_answer_was_lost_are_found_and_not_submitted_twice(tmp_path: Path) -> None:
    system = Arrays()
    system.faults["arrived"] = [BatchAwayError("it is away")]
    run(tmp_path, system, lambda queue: ids(queue)["worker-5"] == "1_5", MANY[:3])
    assert list(system.jobs) == ["1_3", "1_4", "1_5"]
    assert living(system) == []


def test_too_many_at_once_are_submitted_one_by_one_as_far_as_it_goes(tmp_path: Path) -> None:
    system = Arrays()
    system.refuses = True
    system.faults["submit"] = [None, OffloadError("a limit of one"), *[OffloadError("still")] * 1000]
    reasons: set[str] = set()

    def until(queue: Queue) -> bool:
        reasons.update(job.trouble for job in queue._jobs.values())
        return {"a limit of one", "still"} <= reasons

    run(tmp_path, system, until, MANY[:3])
    assert list(system.jobs) == ["1"]
    assert living(system) == []
