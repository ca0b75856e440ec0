"""Which jobs there are, and what each waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from offload.jobs.commands.job import Job
from offload.jobs.commands.protocol import CANCELLING, NO_WORKERS, RUNNING, JobInfo
from offload.util.resources import Resources, resources_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.jobs.commands.service import CommandService


def counts(service: CommandService) -> dict[str, int]:
    """Return how many jobs wait, and how many run."""
    running = sum(job.state == RUNNING for job in service.jobs.values())
    return {"waiting": len(service.jobs) - running, "running": running}


def adopted(service: CommandService) -> list[str]:
    """Return the worker of each job that an earlier service has given to Dask, which takes it for idle by now."""
    return [job.worker for job in service.jobs.values() if job.state == RUNNING and not job.flying]


def clients(service: CommandService) -> set[str]:
    """Return who waits for jobs under way."""
    return {client for job in service.jobs.values() for client in job.clients}


def needed(service: CommandService) -> dict[str, int]:
    """Return how many jobs wait, by the resources that they need."""
    return dict(Counter(resources_text(job.resources) for job in service.jobs.values() if job.state != RUNNING))


def reasons(service: CommandService) -> dict[int, str]:
    """Return for each job under way what it waits for, or what has happened to it."""
    flights, found = service.flights, {}
    ahead = Counter[Resources]()  # those that need something else take no turn from it
    common = flights.trouble or (flights.obstacle if flights.workers else NO_WORKERS)
    for job in service.jobs.values():
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


def infos(service: CommandService, jobs: Iterable[Job]) -> list[JobInfo]:
    """Return jobs as clients see them."""
    known = reasons(service)
    return [job.info(known.get(job.id, "")) for job in jobs]


def listed(service: CommandService, ended: bool) -> list[JobInfo]:
    """Return the jobs under way, after those that have ended where these are asked for, too."""
    return infos(service, [*(service.ledger.ended() if ended else ()), *service.jobs.values()])
