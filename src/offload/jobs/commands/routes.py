"""The HTTP routes of commands, for the job service's application."""

from __future__ import annotations

import asyncio
import pickle
import time
from typing import Any

from aiohttp import web

from offload.commands.result import fetch
from offload.commands.result import load as load_records
from offload.errors import UsageError
from offload.jobs.calls.protocol import dump, load
from offload.jobs.commands import watch
from offload.jobs.commands.job import Job
from offload.jobs.commands.protocol import Begin, CommandSubmission, Look, Ticket
from offload.jobs.commands.service import CommandService
from offload.registry.session import Session

LOOKED_UP_AT_ONCE = 500


class CommandRoutes:
    """Answers requests about commands.

    Parameters
    ----------
    service : CommandService
        Knows the answers.
    """

    def __init__(self, service: CommandService) -> None:
        self.service = service

    def add_to(self, app: web.Application) -> None:
        """Add the routes, and have the service start and end with the application."""
        app.add_routes(
            [
                web.post("/v1/commands", self.submit),
                web.post("/v1/commands/watch", self.watch),
                web.post("/v1/commands/leave", self.leave),
                web.post("/v1/commands/cancel", self.cancel),
                web.post("/v1/commands/list", self.list),
                web.post("/v1/commands/programs", self.programs),
                web.post("/v1/attempts/begin", self.begin),
                web.post("/v1/attempts/report", self.report),
            ]
        )

        async def start(_: web.Application) -> None:
            await self.service.start()

        async def stop(_: web.Application) -> None:
            await self.service.stop()

        app.on_startup.append(start)
        app.on_cleanup.append(stop)

    async def submit(self, request: web.Request) -> web.Response:
        """Take on commands."""
        submission: CommandSubmission = await asyncio.to_thread(load, await request.read())
        return _answer(await submit(self.service, submission))

    async def watch(self, request: web.Request) -> web.Response:
        """Tell how jobs go on."""
        return await _large_answer(await watch.watch(self.service, load(await request.read())))

    async def leave(self, request: web.Request) -> web.Response:
        """Hear that a client waits no longer."""
        self.service.leave(load(await request.read()))
        return _answer(None)

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel jobs."""
        return _answer(self.service.cancel(load(await request.read())))

    async def list(self, request: web.Request) -> web.Response:
        """Tell which jobs there are."""
        return await _large_answer(self.service.listed(load(await request.read())))

    async def programs(self, request: web.Request) -> web.Response:
        """Ask workers which programs they have."""
        asked: Look = load(await request.read())
        return await _large_answer(await asyncio.to_thread(self.service.flights.look, asked))

    async def begin(self, request: web.Request) -> web.Response:
        """Have a worker begin."""
        begin: Begin = load(await request.read())
        await self.service.recall(begin.jobs)
        return _answer(self.service.begin(begin))

    async def report(self, request: web.Request) -> web.Response:
        """Hear from a worker."""
        return _answer(await self.service.report(await asyncio.to_thread(load, await request.read())))


async def submit(service: CommandService, submission: CommandSubmission) -> list[Ticket]:
    """Take on commands: each is recorded, or under way, or becomes a job."""
    for plan in submission.plans:
        if plan.stdin.is_open:
            raise UsageError("a standard input that stays open cannot be sent to a deployment", "--stdin none, or -")
    wanted = [plan.transformation for plan in submission.plans if not plan.request.fresh]
    meanwhile = service.looking_up()
    try:
        # Between the client's look-up and now, another client's run may have ended.
        recorded = await asyncio.to_thread(_recorded, service.session, wanted)
        pickled = await asyncio.to_thread(_pickled, submission)
    finally:
        service.looked_up(meanwhile)
    recorded |= meanwhile
    tickets: list[tuple[Job | None, bool]] = []
    new: dict[str, Job] = {}
    for plan, data in zip(submission.plans, pickled, strict=True):
        job = service.by_transformation.get(plan.transformation)
        if job is not None:
            joined = submission.client not in job.clients
            service.join(job, submission.client, submission.detach)
            tickets.append((job, joined))
            continue
        if plan.transformation in recorded and not plan.request.fresh:
            tickets.append((None, False))
            continue
        job = new.get(plan.transformation)
        if job is None:
            job = new[plan.transformation] = Job(
                0, plan.transformation, plan.request.label, data, submission.directory, submission.path,
                submission.detach, {submission.client}, time.time(), resources=plan.request.resources,
            )  # fmt: skip
        tickets.append((job, False))
    if new:
        service.add(list(new.values()))
    return [Ticket(0, recorded=True) if job is None else Ticket(job.id, joined) for job, joined in tickets]


def _pickled(submission: CommandSubmission) -> list[bytes]:
    return [pickle.dumps(plan, protocol=5) for plan in submission.plans]


def _recorded(session: Session, transformations: list[str]) -> set[str]:
    """Return those that are recorded, with all that they gave still stored."""
    found: set[str] = set()
    for start in range(0, len(transformations), LOOKED_UP_AT_ONCE):
        part = transformations[start : start + LOOKED_UP_AT_ONCE]
        records = load_records(session.recall(part), session.store)
        there = [(name, record) for name, record in zip(part, records, strict=True) if record is not None]
        whole = fetch([record for _, record in there], session.store)
        found.update(name for (name, _), good in zip(there, whole, strict=True) if good)
    return found


def _answer(message: Any) -> web.Response:
    return web.Response(body=dump(message))


async def _large_answer(message: Any) -> web.Response:
    return web.Response(body=await asyncio.to_thread(dump, message))
