"""A job as the job service has it, and those that it travels with."""

from __future__ import annotations

import asyncio
import dataclasses
import time

from offload.jobs.commands.protocol import ENDED, WAITING, JobInfo, Outcome
from offload.util.resources import Resources


class Company:
    """Jobs that travel together.

    Attributes
    ----------
    members : set of int
        The numbers of those that have neither ended nor been given back.
    landing : set of int
        The numbers of those whose flight has not ended.
    broken : bool
        Whether they have lost their worker, and nobody knows by which of them.
    """

    __slots__ = ("broken", "landing", "members")

    def __init__(self, members: set[int]) -> None:
        self.members = members
        self.landing = set(members)
        self.broken = False

    def without(self, member: int) -> Company:
        """Return what is the company of a member from now on, which has left this one but for its flight."""
        self.members.discard(member)
        alone = Company({member})
        alone.landing = self.landing
        return alone

    @property
    def is_shared(self) -> bool:
        """Whether it is not known of one of them that it has ended their worker."""
        return self.broken or len(self.members) > 1


@dataclasses.dataclass(slots=True, eq=False)
class Job:
    """One command on its way, or at its end.

    Attributes
    ----------
    id : int
        Its number.
    transformation, label, directory, path, detached, submitted, state, worker, started, ended, outcome
        As in the messages.
    plan : bytes
        Pickled; empty once the job has ended.
    clients : set of str
        Who waits for it.
    attempt : int
        The number of the last attempt; 0 before the first.
    lost : int
        How many attempts have ended with their worker.
    cancelled : bool
        Whether somebody has cancelled it.
    note : str
        What has happened to it last, for the user.
    excused : bool
        Whether the end of the present attempt will say nothing about the job: its scheduler or its worker was ended.
    flying : bool
        Whether Dask has a task for it.
    begun_by : tuple or None
        Who runs the present attempt, until the first report comes.
    resources : Resources
        What it needs of its worker.
    heard : float
        When its worker was last heard of (`time.monotonic`).
    ending : asyncio.Task or None
        Takes in its outcome.
    watchers : set of asyncio.Event
        To be set when there is anything new.
    told : dict
        What each client was told last, so that it is told only what is new.
    company : Company
        The jobs with which it has been given to a worker.
    doubts : int
        1 where its worker was lost with several jobs, and it may be the one that ended it: it goes alone then, and
        where it loses another worker so, it has lost both.
    alone : bool
        Whether it had begun when a worker was told to end: it may be one that takes long.
    """

    id: int
    transformation: str
    label: str
    plan: bytes
    directory: str
    path: str
    detached: bool = False
    clients: set[str] = dataclasses.field(default_factory=set)
    submitted: float = 0.0
    state: str = WAITING
    started: float | None = None
    ended: float | None = None
    attempt: int = 0
    lost: int = 0
    worker: str = ""
    cancelled: bool = False
    outcome: Outcome | None = None
    note: str = ""
    excused: bool = False
    flying: bool = False
    begun_by: tuple[str, str, int] | None = None
    resources: Resources = ()
    heard: float = dataclasses.field(default_factory=time.monotonic)
    ending: asyncio.Task[None] | None = None
    watchers: set[asyncio.Event] = dataclasses.field(default_factory=set)
    told: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    company: Company = dataclasses.field(default_factory=lambda: Company(set()))
    doubts: int = 0
    alone: bool = False

    @property
    def kind(self) -> tuple[Resources, str, str]:
        """What it has in common with others that may travel with it."""
        return self.resources, self.label.partition(" ")[0], self.directory

    @property
    def goes_alone(self) -> bool:
        """Whether it may be that it ends its worker, or outlives it."""
        return self.alone or self.doubts > 0 or self.lost > 0

    @property
    def is_to_go(self) -> bool:
        """Whether it waits to be given to a worker."""
        return self.state == WAITING and not self.flying

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits for it, or it goes on without."""
        return self.detached or bool(self.clients)

    def wake(self) -> None:
        """Tell who watches that there is something new."""
        for event in self.watchers:
            event.set()

    def info(self, reason: str) -> JobInfo:
        """Return the job for a list of jobs."""
        return JobInfo(
            self.id, self.state, "" if self.state == ENDED else reason, self.label, self.transformation,
            self.directory, self.detached, self.worker, self.submitted, self.started, self.ended, self.outcome,
        )  # fmt: skip
