"""A command service with a carrier that does what the test says, and plans for it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from offload.commands.planning.plan import Plan
from offload.commands.planning.stdin import Stdin
from offload.commands.recall import planner_for
from offload.commands.request import Request
from offload.jobs.commands.carrier import Carrier
from offload.jobs.commands.journal import Ledger
from offload.jobs.commands.output import Spools
from offload.jobs.commands.protocol import Begin, Begun, CommandSubmission, News, Outcome, Report, Ticket, Watch
from offload.jobs.commands.routes import submit
from offload.jobs.commands.service import CommandService
from offload.jobs.commands.watch import watch
from offload.registry.session import current
from offload.util.resources import Resources


class FakeCarrier(Carrier):
    """Keeps the jobs that it is given, for the test to run and to end."""

    def __init__(self) -> None:
        self.futures: dict[int, Future[Any]] = {}
        self.carried: list[int] = []
        self.groups: list[list[int]] = []
        self.dropped: list[int] = []
        self.threads = 1

    @property
    def workers(self) -> int:
        return self.threads

    def carry(self, jobs: Sequence[int], resources: Resources = ()) -> Future[Any]:
        self.carried += jobs
        self.groups.append(list(jobs))
        future: Future[Any] = Future()
        self.futures.update(dict.fromkeys(jobs, future))
        return future

    def drop(self, future: Future[Any]) -> None:
        self.dropped += [job for job, other in self.futures.items() if other is future]

    def close(self) -> None:
        """Nothing was started."""


@dataclasses.dataclass
class Deployed:
    """A command service, and what a client and a worker do to it."""

    directory: Path
    carrier: FakeCarrier
    service: CommandService

    def again(self) -> Deployed:
        """Return another service over the same files, as after a kill."""
        return deployed(self.directory, self.carrier)

    async def submit(self, *plans: Plan, client: str = "me", detach: bool = False) -> list[Ticket]:
        return await submit(self.service, CommandSubmission(client, list(plans), "/here", "/bin", detach))

    async def news(self, job: int, had: tuple[int, int] | None = (0, 0), client: str = "me") -> News | None:
        return (await watch(self.service, Watch(client, {job: had}, 0.0))).get(job)

    def begin(self, job: int, worker: str = "w", pid: int = 1) -> Begun:
        (begun,) = self.service.begin(Begin((job,), worker, "host", pid))
        return begun

    async def report(
        self, job: int, attempt: int, place: int = 0, out: bytes = b"", outcome: Outcome | None = None, **more: Any
    ) -> bool:
        (answer,) = await self.service.report([Report(job, attempt, place, 0, out, b"", outcome, **more)])
        return answer

    async def carried(self, count: int) -> None:
        await until(lambda: len(self.carrier.carried) >= count)


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not what():
            await asyncio.sleep(0.005)


def deployed(directory: Path, carrier: FakeCarrier) -> Deployed:
    ledger = Ledger(str(directory / "jobs.sqlite"))
    spools = Spools(str(directory / "jobs"))
    return Deployed(directory, carrier, CommandService(current(), ledger, spools, lambda: carrier))


Scenario = Callable[[Deployed], Coroutine[Any, Any, None]]
Play = Callable[[Scenario], None]


@pytest.fixture
def play(home: Path, tmp_path: Path) -> Play:
    """Run a scenario with a service that has been started, and stop it."""

    def run(scenario: Scenario) -> None:
        async def whole() -> None:
            it = deployed(tmp_path, FakeCarrier())
            await it.service.start()
            try:
                await scenario(it)
            finally:
                await it.service.stop()

        asyncio.run(whole())

    return run


def plan_of(text: str, **options: Any) -> Plan:
    return planner_for(current()).plan([Request(["sh", "-c", text], **options)], Stdin())[0]
