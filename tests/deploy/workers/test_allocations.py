"""Workers that come and go together: whole allocations are added, and go when nobody in them is at work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from offload.batch import JobRequest, JobState, Phase
from offload.batch.options import gather
from offload.deploy.head.clients import SchedulerLink
from offload.deploy.workers import allocation, base
from offload.deploy.workers.allocation import Allocation as Job
from offload.deploy.workers.base import Member, Workers
from offload.deploy.workers.batch_queue import Queue
from offload.errors import UsageError
from offload.jobs.waits import not_connected
from offload.registry.deployments import Place
from tests.deploy.workers.test_queued import Faulty


class Pair(Member):
    """Two workers that go together."""

    ended: list[str] = []

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{self.name}.0", f"{self.name}.1")

    def start(self, after: float = 0.0) -> None:
        pass

    async def end(self) -> None:
        self.ended.append(self.name)

    def each(self) -> list[dict[str, Any]]:
        return [{"name": name, "state": "running"} for name in self.names]


class Scheduler(SchedulerLink):
    """A scheduler that knows some workers, and says what each has to do."""

    def __init__(self, tasks: dict[str, list[str]]) -> None:
        self.tasks = tasks
        self.holding: set[str] = set()  # what has no other place

    async def call(self, what: str, **arguments: Any) -> Any:
        if what == "workers_to_close":  # idle ones come first; without a number only those
            order = sorted(self.tasks, key=lambda name: len(self.tasks[name]))
            return [name for name in order if "n" in arguments or not self.tasks[name]]
        if what == "identity":
            return {"workers": {name: {"name": name} for name in self.tasks}}
        if what == "retire_workers":
            return {name: {"name": name} for name in arguments["names"] if name in self.tasks.keys() - self.holding}
        assert what == "processing"
        return {name: self.tasks[name] for name in arguments["workers"]}  # KeyError, as the real one


def run(tasks: dict[str, list[str]], body: Callable[[Workers, Scheduler], Coroutine[Any, Any, None]]) -> None:
    Pair.ended = []

    async def main() -> None:
        link = Scheduler(tasks)
        workers = Workers(link, Pair, patient=True)
        workers.grow(4)
        await body(workers, link)

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "BUSY_POLL", 0.01)
    monkeypatch.setattr(base, "PLACE_POLL", 0.01)


FOUR: dict[str, list[str]] = {"worker-0.0": ["a"], "worker-0.1": [], "worker-1.0": [], "worker-1.1": []}


def test_numbers_are_rounded_up_to_whole_allocations() -> None:
    async def body(workers: Workers, _: Scheduler) -> None:
        workers.grow(5)
        assert len(workers) == 6 and "worker-2.1" in workers
        await workers.scale(5)
        assert len(workers) == 6 and Pair.ended == []

    run(dict(FOUR), body)


def test_the_idle_one_goes_first_and_the_other_when_it_has_finished() -> None:
    async def body(workers: Workers, link: Scheduler) -> None:
        await workers.scale(2)
        await until(lambda: Pair.ended == ["worker-1"])
        await workers.scale(0)
        await asyncio.sleep(0.1)
        assert Pair.ended == ["worker-1"]  # half of worker-0 is idle
        link.tasks["worker-0.0"] = []
        await until(lambda: Pair.ended == ["worker-1", "worker-0"])

    run(dict(FOUR), body)


def test_only_those_go_of_which_all_workers_are_idle() -> None:
    async def body(workers: Workers, link: Scheduler) -> None:
        await workers.shrink(4, busy={"worker-1.1"})
        assert len(workers) == 4
        await workers.shrink(1)
        assert len(workers) == 4
        await workers.shrink(4)
        await until(lambda: Pair.ended == ["worker-1"])
        assert len(workers) == 2

    run(dict(FOUR), body)


def test_one_that_is_lost_before_it_has_finished_goes_all_the_same() -> None:
    async def body(workers: Workers, link: Scheduler) -> None:
        await workers.scale(0)
        await until(lambda: Pair.ended == ["worker-1"])
        del link.tasks["worker-0.0"]
        await until(lambda: Pair.ended == ["worker-1", "worker-0"])

    run(dict(FOUR), body)


def test_what_waited_when_last_asked_and_is_at_work_by_now_is_not_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pair, "waits", property(lambda self: self.name == "worker-0"))

    async def body(workers: Workers, link: Scheduler) -> None:
        await workers.scale(2)
        await until(lambda: Pair.ended == ["worker-1"])  # the idle one
        assert "worker-0.0" in workers
        link.tasks.clear()
        await workers.scale(0)
        assert Pair.ended == ["worker-1", "worker-0"]

    run(dict(FOUR), body)


def test_an_allocation_is_replaced_as_a_whole() -> None:
    async def body(workers: Workers, link: Scheduler) -> None:
        await workers.replace("worker-1")
        await until(lambda: Pair.ended == ["worker-1"])
        assert len(workers) == 4 and "worker-2.0" in workers

    run(dict(FOUR), body)


def test_one_that_is_replaced_waits_for_a_place_for_what_it_holds() -> None:
    async def body(workers: Workers, link: Scheduler) -> None:
        link.holding = {"worker-1.1"}
        await workers.replace("worker-1")
        assert len(workers) == 4 and "worker-2.0" in workers
        await asyncio.sleep(0.1)
        assert Pair.ended == []
        link.holding.clear()
        await until(lambda: Pair.ended == ["worker-1"])

    run(dict(FOUR), body)


def test_one_that_is_replaced_and_lost_while_it_waits_goes_all_the_same() -> None:
    async def body(workers: Workers, link: Scheduler) -> None:
        link.holding = {"worker-1.0", "worker-1.1"}
        await workers.replace("worker-1")
        del link.tasks["worker-1.0"], link.tasks["worker-1.1"]
        await until(lambda: Pair.ended == ["worker-1"])

    run(dict(FOUR), body)


def queue_of(path: Path, system: Faulty) -> Queue:
    def request(name: str) -> JobRequest:
        return JobRequest(f"offload.x.{name}", ("true",), nodes=2, log=str(path / f"{name}.log"))

    return Queue(Place(str(path)), system, request, lambda line: None)


def test_a_worker_that_is_lost_within_its_allocation_has_it_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offload.deploy.workers.batch_queue.SOON", 0.02)
    monkeypatch.setattr("offload.deploy.workers.batch_queue.LATER", 0.02)
    monkeypatch.setattr(allocation, "TORN_SECONDS", 0.1)
    expired: list[str] = []
    connected = {"worker-0.0", "worker-0.1"}

    async def known() -> set[str]:
        return connected

    async def main() -> None:
        queue = queue_of(tmp_path, Faulty())
        queue.expiring, queue.connected = expired.append, known
        worker = queue.make("worker-0")
        worker.start()
        await until(lambda: not worker.waits)
        await asyncio.sleep(0.3)
        assert not expired
        connected.remove("worker-0.1")
        await until(lambda: bool(expired))
        assert [one["state"] for one in worker.each()] == ["lost", "lost"]  # as far as the job knows
        await worker.end()
        await queue.close()

    asyncio.run(main())
    assert set(expired) == {"worker-0"}


def test_what_is_said_of_each_worker_of_an_allocation(tmp_path: Path) -> None:
    (tmp_path / "worker-0.1.log").write_text("no such module\n")
    one = Job("worker-0", queue_of(tmp_path, Faulty()), str(tmp_path / "worker-0.log"), 2)
    one.see(JobState(Phase.RUNNING, nodes="c[1-2]"), ["c1", "c2"])
    one.id = "7"
    assert one.lacks({"worker-0.0"}, 0.0) == []  # the other one may come yet
    one.see(JobState(Phase.RUNNING, nodes="c1"), ["c1"])
    first, second = one.each()
    assert (first["name"], first["node"], first["job"]) == ("worker-0.0", "c1", "7")
    assert (second["name"], second["node"], second["state"]) == ("worker-0.1", "c2", "starting")
    assert second["reason"].endswith("no such module")
    assert one.lacks({"worker-0.1"}, 1.0) == [] and one.lacks({"worker-0.1"}, 100.0) == ["worker-0.0"]
    one.begin(200.0)
    assert one.lacks({"worker-0.1"}, 300.0) == []


def test_nodes_of_the_head_are_for_workers_beside_it() -> None:
    values = {"keep": "slurm", "provider": "slurm", "head_nodes": 2, "cores": 1}
    with pytest.raises(UsageError, match="for workers beside it"):
        gather(values)


def test_since_when_a_worker_is_not_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("offload.deploy.workers.base.time.monotonic", lambda: now)

    def missed(workers: Workers, known: dict[str, dict[str, Any]]) -> list[float | None]:
        return [one.get("missed") for one in workers.status(known)]

    async def body(workers: Workers, link: Scheduler) -> None:
        nonlocal now
        first = "worker-0.0"
        assert missed(workers, {})[0] == 0.0
        now = 190.0
        assert missed(workers, {})[0] == 90.0
        told = workers.status({})[0] | {"says": "it cannot be reached", "restarts": 0}
        assert not_connected(told) == f"{first} has not connected for 90 s: it cannot be reached"
        assert missed(workers, {first: {"state": "connected"}})[0] is None
        now = 200.0
        assert missed(workers, {})[0] == 0.0

    run({}, body)
