"""The calls of one function that wait, and how many of them travel together.

A Dask task costs about a millisecond, a trivial call a microsecond. So calls travel together, as many as take a tenth
of a second by what the last ones took; the first travel alone.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future as PlainFuture
from typing import Any

from offload.registry.session import Session
from offload.storage.claims import Claims
from offload.tasks.call import Call
from offload.tasks.futures import Future
from offload.transport.batch import Packed
from offload.transport.function import ShippedFunction
from offload.transport.outcome import Outcome
from offload.util.resources import Resources

TARGET_SECONDS = 0.1
LARGEST, GROWTH = 2000, 8


class Work:
    """A call on its way: what to run, the futures that wait for it, and whether it has ended a worker's batch.

    Its arguments are packed, as they were when the call was identified: the caller may change them from then on.

    Parameters
    ----------
    key : tuple of str
        What tells it from others: where it is recorded, and its transformation.
    call, future, arguments, resources
        As above.

    Attributes
    ----------
    claims : Claims, optional
        Where it is claimed.
    sent : tuple or None
        The batch in which it was sent last, and its place there.
    until : float
        When it is no longer waited for that another process computes it (monotonic).
    waited : bool
        Whether somebody else had claimed it, and has let go of it without a result.
    """

    __slots__ = ("arguments", "call", "claims", "futures", "key", "resources", "sent", "suspect", "until", "waited")

    def __init__(
        self, key: tuple[str, ...], call: Call, future: Future[Any], arguments: Packed, resources: Resources = ()
    ) -> None:
        self.key = key
        self.call = call
        self.arguments = arguments
        self.futures = [future]
        self.resources = resources
        self.suspect = False
        self.claims: Claims | None = None
        self.sent: tuple[PlainFuture[list[Outcome]], int] | None = None
        self.waited = False
        self.until = 0.0

    @property
    def is_wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return not all(future.cancelled() for future in self.futures)

    def let_go(self) -> None:
        """End the claim, where there is one."""
        if self.claims is not None:
            self.claims.release(self.call.transformation)
            self.claims = None


class Lane:
    """The waiting calls of one function, and how long the last ones took.

    Attributes
    ----------
    waiting : deque of Work
        Those to be sent.
    aside : list of Work
        Those that other processes are computing.
    """

    def __init__(self, session: Session, function: ShippedFunction, scratch: bool = False) -> None:
        self.session = session
        self.function = function
        self.scratch = scratch
        self.resources = function.resources
        self.waiting: deque[Work] = deque()
        self.aside: list[Work] = []
        self.seconds: float | None = None
        self.size = 1

    def next_size(self, slots: int) -> int:
        """Return how many calls the next batch takes."""
        if self.seconds is not None:
            wanted = int(TARGET_SECONDS / max(self.seconds, 1e-6))
            self.size = max(1, min(wanted, self.size * GROWTH, LARGEST))
        # Towards the end the rest is shared out, so that no worker is left with a long batch alone.
        return max(1, min(self.size, -(-len(self.waiting) // slots)))

    def take(self, slots: int) -> list[Work]:
        """Take the works of the next batch. One that may have ended a worker travels alone."""
        works: list[Work] = []
        for _ in range(self.next_size(slots)):
            if works and (works[0].suspect or self.waiting[0].suspect):
                break
            works.append(self.waiting.popleft())
        return works

    def learn(self, outcomes: list[Outcome]) -> None:
        """Take note of how long calls take."""
        if not outcomes:
            return
        mean = sum(o.seconds for o in outcomes) / len(outcomes)
        self.seconds = mean if self.seconds is None else 0.5 * self.seconds + 0.5 * mean
