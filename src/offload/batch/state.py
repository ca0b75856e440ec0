"""What a batch system says about a job."""

from __future__ import annotations

import dataclasses
import enum


class Phase(enum.StrEnum):
    """Where a job is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"
    """The batch system does not know it: it ended too long ago, or has never been."""


class End(enum.StrEnum):
    """How a job ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    PREEMPTED = "preempted"
    NODE_FAILED = "node failed"
    OUT_OF_MEMORY = "out of memory"


@dataclasses.dataclass(frozen=True)
class JobState:
    """What is known of one job. Times are seconds since the epoch, None where the batch system does not tell.

    Attributes
    ----------
    phase : Phase
        Where it is in its life.
    word : str
        What the batch system calls that.
    reason : str
        Why it waits, or how it ended, in the batch system's own words; "" for none.
    nodes : str
        Where it runs or ran, as the batch system writes it.
    start : float or None
        When it started; of a pending job, when it is expected to.
    finish : float or None
        When its walltime is over, or it has ended.
    end : End or None
        How it ended; None where it has not, or where nobody tells.
    exit_code : int or None
        Of a job that has ended by itself; negative for a signal.
    restarts : int
        How often it was started again, after a node failed or another job drove it out.
    """

    phase: Phase
    word: str = ""
    reason: str = ""
    nodes: str = ""
    start: float | None = None
    finish: float | None = None
    end: End | None = None
    exit_code: int | None = None
    restarts: int = 0

    @property
    def is_over(self) -> bool:
        """Whether a job that was once submitted will do nothing any more."""
        return self.phase in (Phase.ENDED, Phase.UNKNOWN)


@dataclasses.dataclass(frozen=True)
class Queue:
    """A queue, or partition, as its batch system describes it.

    Attributes
    ----------
    name : str
        Its name.
    is_open : bool
        Whether it runs jobs now.
    is_default : bool
        Whether it takes the jobs that name none.
    limits : str
        How long jobs may run, on what, in words.
    longest : int or None
        How many seconds jobs may run; None for any number.
    """

    name: str
    is_open: bool
    is_default: bool
    limits: str
    longest: int | None = None


UNKNOWN = JobState(Phase.UNKNOWN)


def ended_by(code: int | None) -> End | None:
    """Return how a job ended that nobody has ended, by its exit code."""
    return None if code is None else End.FAILED if code else End.COMPLETED
