"""What is told of a worker: the one shape that it has always, and how one can be that does not answer."""

from __future__ import annotations

from typing import TypedDict, cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SILENT = "silent"
"""The state of a worker that is connected, and of which nothing is heard; and of a service that does not answer."""

LEAVING = "leaving"
"""The state of a worker that takes nothing on any more, or has ended and is still known to the scheduler."""

STOPPED_SERVICE = "its process runs, and does not answer"
"""What is said of such a service."""

ENGAGED = "it is in code that lets nothing else of it run"
"""What a silent worker says that is at work."""


class WorkerRow(TypedDict):
    """How a worker is, as plain values; None stands for what there is not, or is not known.

    Attributes
    ----------
    name, group, provider
        Which; one that has joined from elsewhere has no group, and nobody provides it.
    state : str
        ``starting``, ``running``, ``ending``; ``connected``, `SILENT`, `LEAVING`; of a job also ``submitted``,
        ``pending``, ``lost``. To users, ``running`` is ``connecting``.
    reason, says : str
        Why it is so, and what it has last said; may be "".
    joined : bool
        Whether somebody else has started it.
    pid, restarts
        Of the process that the head keeps up, or how often its job was submitted again.
    job, node
        Of one that is a job.
    address, threads, memory, memory_limit, resources, executing, stopped, paused
        What the scheduler knows, of one that is connected.
    seconds, missed
        For how long a silent one was not heard of, and for how long one that runs has not been connected.
    """

    name: str
    group: str | None
    provider: str | None
    state: str
    reason: str
    says: str | None
    joined: bool
    pid: int | None
    restarts: int
    job: str | None
    node: str | None
    address: str | None
    threads: int | None
    memory: int | None
    memory_limit: int | None
    resources: dict[str, float] | None
    executing: int | None
    stopped: list[tuple[int, float]]
    paused: bool | None
    seconds: float | None
    missed: float | None


def worker_row(known: Mapping[str, Any]) -> WorkerRow:
    """Return all that is told of a worker, given what is known of it, with its name and its state."""
    row = WorkerRow(
        name="", group=None, provider=None, state="", reason="", says=None, joined=False, pid=None, restarts=0,
        job=None, node=None, address=None, threads=None, memory=None, memory_limit=None, resources=None,
        executing=None, stopped=[], paused=None, seconds=None, missed=None,
    )  # fmt: skip
    return cast(WorkerRow, {**row, **known})


class ServiceRow(TypedDict):
    """How a service is, as plain values; None as for workers.

    Attributes
    ----------
    name, state, pid, restarts, address, since
        As the documentation of ``offload status --json`` says.
    reason, says, hint
        Why it is so, what it has last said, and what to do, where it does not run.
    """

    name: str
    state: str
    pid: int | None
    restarts: int | None
    address: str | None
    since: float | None
    reason: str
    says: str | None
    hint: str | None


def service_row(known: Mapping[str, Any]) -> ServiceRow:
    """Return all that is told of a service, given what is known of it, with its name and its state."""
    row = ServiceRow(
        name="", state="", pid=None, restarts=None, address=None, since=None, reason="", says=None, hint=None
    )
    return cast(ServiceRow, {**row, **known})
