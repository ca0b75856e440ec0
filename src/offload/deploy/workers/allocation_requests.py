"""Workers on the nodes of a batch system, each a job of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from offload.batch import PART, BatchSystem, JobRequest, batch_system
from offload.batch.options import request_values
from offload.deploy.config.spec import LOCAL, PROCESS, Spec
from offload.deploy.workers.base import Workers
from offload.deploy.workers.batch_queue import Queue
from offload.registry.deployments import Place
from offload.util.processes import python

LABEL = "offload"


def label_of(place: Place) -> str:
    """Return what the names of all jobs of a deployment begin with."""
    return f"{LABEL}.{place.name}."


def request(place: Place, name: str, command: tuple[str, ...], choices: dict[str, Any]) -> JobRequest:
    """Return the request for a job of a deployment.

    Parameters
    ----------
    place : Place
        The deployment's.
    name : str
        What the job is to be, such as ``worker-3``.
    command : tuple of str
        What it runs.
    choices : dict
        What the user has chosen of it, as texts and numbers.

    Raises
    ------
    UsageError
        If a choice cannot be.
    """
    values = request_values(choices)
    log = os.path.join(choices.get("log_directory", place.logs), f"{name}.log")
    return JobRequest(f"{label_of(place)}{name}", command, log=log, environment={"OFFLOAD_HOME": place.home}, **values)


HEAD = "head"


def head_request(place: Place, spec: Spec) -> JobRequest:
    """Return the request for the job of a head."""
    # Of several nodes the first has the head, which starts the workers on all of them.
    choices = {**spec.head_job, "everywhere": False}
    return request(place, HEAD, (*python("offload.deploy.head", place.path), "--job"), choices)


def scripts(place: Place, spec: Spec) -> dict[str, str]:
    """Return the batch scripts that bringing a deployment up submits, by what they are for; the workers' are alike."""
    found = {}
    if spec.keep != PROCESS:
        found[HEAD] = batch_system(spec.keep).script(head_request(place, spec))
    for name in spec.group_names():
        group, worker = spec.group(name), f"{name}-0"
        if group.provider != LOCAL:
            found[worker] = batch_system(group.provider).script(worker_request(place, group, worker))
    return found


def worker_request(place: Place, spec: Spec, name: str) -> JobRequest:
    """Return the request for the job of a worker."""
    several = spec.job.get("nodes", 1) > 1
    command = (*python("offload.deploy.workers.process", place.path, f"{name}.{PART}" if several else name), "--job")
    # A job that a batch system starts again is held for a while by some; the head submits another one at once.
    choices = {"requeue": False, **spec.job, **({"scratch": spec.scratch} if spec.scratch else {})}
    return request(place, name, command, choices)


def queue_of(place: Place, spec: Spec, say: Callable[[str], None], system: BatchSystem | None = None) -> Queue:
    """Return the queue of the workers of a deployment that are jobs."""
    used = system or batch_system(spec.systems()[0])
    return Queue(place, used, lambda name: worker_request(place, spec.group(spec.group_of(name)), name), say)


def adopt(queue: Queue, of: Callable[[str], Workers], say: Callable[[str], None]) -> None:
    """Give the jobs that an earlier head has left to the workers that they are, and see to it that they are replaced.

    Parameters
    ----------
    queue : Queue
        Has them.
    of : callable
        Gives the workers among which one of a name is.
    say : callable
        Gets lines for the head's log.
    """
    replacing: set[asyncio.Task[None]] = set()

    async def replace(name: str) -> None:
        try:
            await of(name).replace(name)
        except (OSError, TimeoutError) as exc:  # the next look at the queue asks for it again
            say(f"{name} is not replaced yet: the scheduler does not answer: {exc}")

    def expiring(name: str) -> None:
        task = asyncio.create_task(replace(name), name=f"replace {name}")
        replacing.add(task)
        task.add_done_callback(replacing.discard)

    queue.expiring = expiring
    for job in queue.adopt():
        of(job.name).adopt(job)
        queue.add(job)
