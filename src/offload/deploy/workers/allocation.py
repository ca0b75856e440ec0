"""A worker that is a job, or the workers on the nodes of one allocation."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from offload.batch.state import JobState, Phase
from offload.deploy.workers.base import Member
from offload.util.processes import last_words

FIRST_PAUSE = 2.0
"""Seconds before a job that was lost is submitted again, the first time."""

TORN_SECONDS = 30.0
"""So long a worker may be away before its allocation is replaced: a nanny starts one again in less."""

COMING_SECONDS = 600.0
MARGIN, LEAST_MARGIN, MOST_MARGIN = 0.1, 20.0, 300.0
SPARE = 1.1  # the next task may take a little longer than the longest one


def parts_of(name: str, nodes: int) -> tuple[str, ...]:
    """Return the names of the workers of a job: its own, or one for each node.

    Examples
    --------
    >>> parts_of("worker-3", 1), parts_of("worker-3", 2)
    (('worker-3',), ('worker-3.0', 'worker-3.1'))
    """
    return (name,) if nodes == 1 else tuple(f"{name}.{number}" for number in range(nodes))


def _unreached(said: str) -> str:
    """Return which address a worker tries to reach, where the last line of its log says so; "" otherwise.

    Examples
    --------
    >>> _unreached("2026-01-01 10:00:00 offload worker: worker-0 on c1 connects to tls://10.0.0.1:8786")
    'nothing has answered c1 yet at tls://10.0.0.1:8786; where nodes cannot reach that address: --workers-host'
    """
    found = re.search(r" on (\S+) connects to (\S+)$", said)
    if found is None:
        return ""
    return f"nothing has answered {found[1]} yet at {found[2]}; where nodes cannot reach that address: --workers-host"


class Queue(Protocol):
    """Submits allocations and cancels them.

    Attributes
    ----------
    away : str
        Why the batch system does not answer, or "".
    """

    away: str

    def add(self, job: Allocation) -> None:
        """Submit one with the next look at the batch system."""

    async def drop(self, job: Allocation) -> None:
        """Cancel one."""


class Allocation(Member):
    """Workers that are a job: pending, running or lost, and submitted again until it is ended.

    Parameters
    ----------
    name : str
        The job's, and the worker's where it is one.
    queue : Queue
        Submits and cancels.
    log : str
        Where the job writes what it says.
    nodes : int
        Each has one worker.
    """

    def __init__(self, name: str, queue: Queue, log: str, nodes: int = 1) -> None:
        self.name = name
        self.log = log
        self.id: str | None = None
        self.state = JobState(Phase.PENDING, reason="not submitted yet")
        self.trouble = ""
        self.restarts = 0
        self.submitted = 0.0
        self.wanted = False
        self.unsure = False  # a submission had no clear answer: it may have arrived
        self.sought = 0.0  # since when it is looked for (`time.monotonic`)
        self.asked = ""  # what its submission, which may be of many, is called
        self.pause = FIRST_PAUSE
        self.again_at = 0.0
        self.torn_since: float | None = None
        self._names = parts_of(name, nodes)
        self._nodes: list[str] = []  # as they were at first: one that fails is taken off
        self._seen: set[str] = set()
        self._queue = queue

    @property
    def names(self) -> tuple[str, ...]:
        """What Dask calls its workers."""
        return self._names

    @property
    def waits(self) -> bool:
        """Whether it is not running, as far as the batch system has said."""
        return self.state.phase is not Phase.RUNNING

    def start(self, after: float = 0.0) -> None:
        """Have it submitted with the next look at the queue."""
        self.wanted = True
        self._queue.add(self)

    async def end(self) -> None:
        """Have it cancelled, with all others that go at the same time."""
        self.wanted = False
        await self._queue.drop(self)

    def begin(self, now: float) -> None:
        """Take note that it has been submitted."""
        self.submitted, self.state, self.trouble = now, JobState(Phase.PENDING), ""
        self.torn_since, self._nodes, self._seen = None, [], set()

    def see(self, state: JobState, nodes: Sequence[str]) -> None:
        """Take note of what the batch system says, and of the nodes in that."""
        self.state = state
        if len(nodes) == len(self._names):
            self._nodes = list(nodes)

    def lacks(self, connected: Collection[str], now: float) -> list[str]:
        """Return which workers of an allocation are lost for good while others go on.

        Those that have never been connected do not count: another allocation would fare no better.
        """
        there = {name for name in self._names if name in connected}
        self._seen |= there
        lost = [name for name in self._names if name in self._seen - there]
        if not lost or not there:
            self.torn_since = None
            return []
        if self.torn_since is None:
            self.torn_since = now
        return lost if now - self.torn_since >= TORN_SECONDS else []

    def is_coming(self, now: float) -> bool:
        """Tell whether some of an allocation's workers may be about to connect."""
        running = len(self._names) > 1 and not self.waits
        return (
            running
            and len(self._seen) < len(self._names)
            and now - (self.state.start or self.submitted) < COMING_SECONDS
        )

    def whole(self) -> float:
        """Return how many seconds it may run, as far as that is known."""
        start, finish = self.state.start, self.state.finish
        return finish - start if start is not None and finish is not None and not self.waits else 0.0

    def remaining(self) -> float:
        """Return how many seconds it may still run."""
        return self.state.finish - time.time() if self.state.finish is not None and not self.waits else float("inf")

    def margin(self, longest: float) -> float:
        """Return how many seconds before its end it takes nothing on any more.

        A tenth of its time, within limits; or as long as the longest task lately took, up to half of its time.
        """
        usual = min(max(MARGIN * self.whole(), LEAST_MARGIN), MOST_MARGIN)
        return min(max(usual, SPARE * longest), self.whole() / 2)

    def each(self) -> list[dict[str, Any]]:
        """Return how each worker is: in the batch system's own words."""
        return [self._described(number, name) for number, name in enumerate(self._names)]

    def _described(self, number: int, name: str) -> dict[str, Any]:
        phase, reason = self.state.phase, self.trouble or self.state.reason
        how = "lost" if self.id is None and self.restarts else "submitted" if self.id is None else str(phase)
        if phase is Phase.RUNNING:
            how, reason = ("lost", "is connected no more") if name in self._seen else ("starting", "has not connected")
            said = last_words(self._log_of(name))
            reason = f"runs, but {_unreached(said) or reason + ('; its log ends with: ' + said if said else '')}"
        return {
            "name": name,
            "state": how,
            "pid": None,
            "restarts": self.restarts,
            "job": self.id,
            "node": self._nodes[number] if self._nodes else self.state.nodes,
            "reason": self._queue.away or reason,
        }

    def _log_of(self, name: str) -> str:
        return self.log if len(self._names) == 1 else os.path.join(os.path.dirname(self.log), f"{name}.log")
