"""What clients see of jobs: new states, new output, the end."""

from __future__ import annotations

import asyncio
import contextlib
import time

from offload.errors import NotFoundError
from offload.jobs.commands import overview
from offload.jobs.commands.job import Job
from offload.jobs.commands.protocol import ENDED, RUNNING, News, Outcome, Watch
from offload.jobs.commands.service import CommandService

LONGEST, LOOK_AGAIN, EACH = 60.0, 1.0, 0.0001
PIECE, MOST = 4 * 1024 * 1024, 16 * 1024 * 1024
"""Bytes of output in one piece of news, and in one answer."""


async def watch(service: CommandService, watch: Watch) -> dict[int, News]:
    """Return what is new to a client, as soon as there is anything, or nothing after some seconds.

    A client that watches a job waits for it, so its job is not cancelled because another client leaves.
    """
    deadline = time.monotonic() + min(watch.seconds, LONGEST)
    event = asyncio.Event()
    watched = [service.jobs[number] for number in watch.jobs if number in service.jobs]
    for job in watched:
        service.join(job, watch.client)
        job.watchers.add(event)
    try:
        while True:
            event.clear()
            news = _news(service, watch)
            left = deadline - time.monotonic()
            if news or left <= 0:
                return news
            with contextlib.suppress(TimeoutError):
                # What a job waits for changes without an event.
                await asyncio.wait_for(event.wait(), min(left, LOOK_AGAIN))
                # Looking at thousands of jobs takes a while: their news come together.
                await asyncio.sleep(min(len(watch.jobs) * EACH, LOOK_AGAIN))
    finally:
        for job in watched:
            job.watchers.discard(event)


def _news(service: CommandService, watch: Watch) -> dict[int, News]:
    reasons = overview.reasons(service.jobs.values(), service.flights)
    ended = service.ledger.get([number for number in watch.jobs if number not in service.jobs])
    room, found = MOST, {}
    for number, had in watch.jobs.items():
        job = service.jobs.get(number) or ended.get(number)
        if job is None:
            gone = NotFoundError(f"there is no job {number}", "offload jobs --all")
            found[number] = News(ENDED, outcome=Outcome(error=gone))
            continue
        one = _of(service, job, had, watch.client, reasons.get(number, ""), min(room, PIECE))
        if one is not None:
            room -= len(one.stdout) + len(one.stderr)
            found[number] = one
    return found


def _of(
    service: CommandService, job: Job, had: tuple[int, int] | None, client: str, reason: str, room: int
) -> News | None:
    """Return what is new of one job, with no more than so many bytes of output."""
    out = err = b""
    whole = True
    if had is not None:
        out = service.spools.read(job.id, 0, had[0], room)
        err = service.spools.read(job.id, 1, had[1], room - len(out))
        sizes = service.spools.size(job.id, 0), service.spools.size(job.id, 1)
        whole = sizes[0] <= had[0] + len(out) and sizes[1] <= had[1] + len(err)
    if job.state == ENDED and whole:
        if job.cancelled:
            service.let_go(job, client)
        return News(ENDED, "", job.worker, out, err, job.outcome)
    # Until a client has all of its output, a job that has ended is to it as one that runs.
    state = RUNNING if job.state == ENDED else job.state
    now = state, reason, job.worker
    if not out and not err and job.told.get(client) == now:
        return None
    job.told[client] = now
    return News(state, reason, job.worker, out, err)
