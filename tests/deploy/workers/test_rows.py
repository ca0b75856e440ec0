"""What is told of a worker has one shape, however the worker is."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from offload.batch.state import JobState, Phase
from offload.deploy.allocation_counts import counted_jobs
from offload.deploy.config.spec import Spec
from offload.deploy.head.children import Child
from offload.deploy.status import report
from offload.deploy.workers.allocation import Allocation
from offload.deploy.workers.base import Member
from offload.deploy.workers.groups import TOLD_AFTER, Groups
from offload.engines.worker_states import SILENT, ServiceRow, WorkerRow
from offload.jobs.waits import settle, waiting
from offload.registry.deployments import Place, Registry

KEYS = set(WorkerRow.__annotations__)


class Link:
    """A scheduler that knows some workers."""

    def __init__(self, *names: str, silent: bool = False) -> None:
        self.silence = TOLD_AFTER + 5.0 if silent else 0.0
        self.workers = {
            f"tls://1.2.3.4:{5000 + n}": {
                "name": name, "nthreads": 2, "memory_limit": 10, "status": "running",
                "metrics": {"memory": 7, "task_counts": {"executing": 1}},
            }
            for n, name in enumerate(names)
        }  # fmt: skip

    async def call(self, what: str, **arguments: Any) -> Any:
        if what != "identity":
            return {"silent": {}}
        seen = time.time() - self.silence
        return {"workers": {address: {**worker, "last_seen": seen} for address, worker in self.workers.items()}}


class NoQueue:
    away = ""

    def add(self, job: Allocation) -> None:
        raise NotImplementedError

    async def drop(self, job: Allocation) -> None:
        raise NotImplementedError


def local() -> Child:
    return Child("worker-0", lambda: ["true"], "/nowhere")


def job(**known: Any) -> Allocation:
    found = Allocation("worker-0", NoQueue(), "/nowhere")
    for name, value in known.items():
        setattr(found, name, value)
    return found


PENDING = job(id="7", state=JobState(Phase.PENDING, reason="Priority"))
RUNNING = job(id="7", state=JobState(Phase.RUNNING, nodes="c1"))


@pytest.mark.parametrize(
    ("member", "link", "state"),
    [
        (local(), Link(), "starting"),
        (local(), Link("worker-0"), "connected"),
        (local(), Link("worker-0", silent=True), SILENT),
        (job(), Link(), "submitted"),
        (PENDING, Link(), "pending"),
        (RUNNING, Link(), "starting"),
        (RUNNING, Link("worker-0"), "connected"),
        (job(restarts=1, trouble="NODE_FAIL"), Link(), "lost"),
        (None, Link("elsewhere-17"), "connected"),
    ],
)
def test_a_row_has_all_keys_in_each_state(tmp_path: Path, member: Member | None, link: Link, state: str) -> None:
    (row,) = rows(tmp_path, link, member)
    assert set(row) == KEYS
    assert (row["state"], row["joined"]) == (state, member is None)
    assert row["group"] == (None if member is None else "worker")
    assert (row["address"] is None) is (state not in ("connected", SILENT))
    assert (row["seconds"] is None) is (state != SILENT)
    assert row["job"] == (member.id if isinstance(member, Allocation) else None)
    read = [dict(row)]
    settle(read)
    assert set(read[0]) == KEYS
    waiting({"services": [], "workers": read, "jobs": {}, "groups": []}, "2 calls", False)
    counted_jobs(read, 1)


def test_one_that_leaves_is_told_so_until_the_scheduler_knows_it_no_more(tmp_path: Path) -> None:
    def leave(groups: Groups) -> None:
        workers = groups["worker"].workers
        workers._leaving["worker-0"] = workers._children.pop("worker-0")

    def go(groups: Groups) -> None:
        del groups["worker"].workers._children["worker-0"]

    (leaving,) = rows(tmp_path, Link("worker-0"), RUNNING, leave)
    (gone,) = rows(tmp_path, Link("worker-0"), RUNNING, go)
    for row, number in ((leaving, "7"), (gone, None)):
        assert set(row) == KEYS
        assert (row["state"], row["joined"], row["group"], row["job"]) == ("leaving", False, "worker", number)
    assert rows(tmp_path, Link(), RUNNING, go) == []


def rows(path: Path, link: Link, member: Member | None, then: Any = lambda groups: None) -> list[WorkerRow]:
    groups = Groups(Place(str(path)), Spec(name="x"), link, print)  # type: ignore[arg-type]
    if member is not None:
        groups["worker"].workers.adopt(member)
    then(groups)
    return asyncio.run(groups.status())


def test_what_an_earlier_head_tells_is_read() -> None:
    told: list[dict[str, Any]] = [{"name": "worker-0", "state": "running", "pid": 7, "restarts": 0}]
    settle(told)
    assert set(told[0]) == KEYS
    assert (told[0]["state"], told[0]["says"]) == ("connecting", "")


def test_a_deployment_that_is_down_is_told_in_the_same_shape(home: Path) -> None:
    place = Registry(str(home)).place("x")
    told = report(place)
    assert (told["state"], told["since"], told["groups"], told["desired"]) == ("down", None, [], 0)
    assert [set(service) for service in told["services"]] == [set(ServiceRow.__annotations__)]
