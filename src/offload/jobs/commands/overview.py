"""Which jobs there are, and what each waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from offload.jobs.commands.job import Job
from offload.jobs.commands.protocol import CANCELLING, NO_WORKERS, RUNNING
from offload.util.resources import Resources, resources_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.jobs.commands.dispatch import Flights


def counts(jobs: Collection[Job]) -> dict[str, int]:
    """Return how many jobs wait, and how many run."""
    running = sum(job.state == RUNNING for job in jobs)
    return {"waiting": len(jobs) - running, "running": running}


def adopted(jobs: Collection[Job]) -> list[str]:
    """Return the worker of each job that an earlier service has given to Dask, which takes it for idle by now."""
    return [job.worker for job in jobs if job.state == RUNNING and not job.flying]


def clients(jobs: Collection[Job]) -> set[str]:
    """Return who waits for jobs under way."""
    return {client for job in jobs for client in job.clients}


def needed(jobs: Collection[Job]) -> dict[str, int]:
    """Return how many jobs wait, by the resources that they need."""
    return dict(Counter(resources_text(job.resources) for job in jobs if job.state != RUNNING))


def reasons(jobs: Iterable[Job], flights: Flights) -> dict[int, str]:
    """Return for each job under way what it waits for, or what has happened to it."""
    found = dict[int, str]()
    ahead = Counter[Resources]()  # those that need something else take no turn from it
    common = flights.trouble or (flights.obstacle if flights.workers else NO_WORKERS)
    for job in jobs:
        if job.cancelled:
            found[job.id] = CANCELLING
        elif job.state == RUNNING:
            found[job.id] = job.note
        else:
            before = ahead[job.resources]
            several = "job" if before == 1 else "jobs"
            free = f"a free worker with {resources_text(job.resources)}" if job.resources else "a free worker"
            waits = common or (f"{before} {several} before it" if before else f"waiting for {free}")
            found[job.id] = f"{job.note}; {waits}" if job.note else waits
            ahead[job.resources] += 1
    return found
