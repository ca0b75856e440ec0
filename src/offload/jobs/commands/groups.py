"""How many commands go to a worker together: as many short ones as take a tenth of a second, and long ones alone.

A task of Dask's, the requests about it and the transactions for it cost as much as some ten commands that do nothing.
So commands that are alike, and took little time when the last of them ran, travel together. The first travel alone.
"""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.jobs.commands.job import Job

TARGET_SECONDS = 0.1
OVERHEAD_SECONDS = 0.002
"""What a command costs its worker besides the time that it runs."""

LARGEST, GROWTH = 100, 8
FEW, PER_SLOT = 8, 2
"""So many groups of a kind are under way while it may be that those that wait are short; or so many for each slot."""

LONG_SECONDS = 0.5
"""What a command takes, as far as is known, that has kept others waiting."""

MOST_KINDS = 1000
"""Kinds that are remembered for what is known of them."""


class Kind:
    """Commands that are alike: of one program, with the same needs; those that wait, and how long the last ones took.

    Attributes
    ----------
    waiting : deque of Job
        In the order in which they go.
    flying : int
        How many groups are under way.
    seconds : float or None
        What one takes; None while nobody knows.
    """

    def __init__(self) -> None:
        self.waiting: deque[Job] = deque()
        self.flying = 0
        self.seconds: float | None = None
        self._size = 1

    def is_held(self, slots: int) -> bool:
        """Tell whether those that wait had better wait for what becomes of the ones under way, to travel together."""
        if self.seconds is not None and self.seconds >= TARGET_SECONDS:
            return False
        return self.flying >= max(FEW, PER_SLOT * slots)

    def take(self, slots: int, most: int) -> list[Job]:
        """Take the jobs of the next group; one that may have ended a worker goes alone."""
        group: list[Job] = []
        size = min(self._next_size(slots), most)
        while self.waiting and len(group) < size:
            if group and self.waiting[0].goes_alone:
                break
            job = self.waiting.popleft()
            if not job.is_to_go:
                continue
            group.append(job)
            if job.goes_alone:
                break
        if group:
            self.flying += 1
        return group

    def _next_size(self, slots: int) -> int:
        if self.seconds is None:
            return 1
        wanted = int(TARGET_SECONDS / (self.seconds + OVERHEAD_SECONDS))
        self._size = max(1, min(wanted, self._size * GROWTH, LARGEST))
        # Towards the end the rest is shared out, so that no worker is left with many alone.
        return max(1, min(self._size, -(-len(self.waiting) // max(slots, 1))))

    def wait_long(self) -> None:
        """Take note that one has kept others waiting."""
        self.seconds = max(self.seconds or 0.0, LONG_SECONDS)

    def learn(self, seconds: float) -> None:
        """Take note of how long one took."""
        self.seconds = seconds if self.seconds is None else 0.5 * (self.seconds + seconds)
