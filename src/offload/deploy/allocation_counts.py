"""How the jobs are that are workers, in numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

from offload.deploy.config.spec import LOCAL
from offload.engines.worker_states import LEAVING

LOSSES = 2
"""So often a call may run into the walltime of a worker of which it had at least half, before it fails."""


def counted_jobs(workers: list[dict[str, Any]], desired: int) -> dict[str, Any] | None:
    """Return how many workers that are jobs there are in each state; None where none are to be.

    Parameters
    ----------
    workers : list of WorkerRow
        As a head tells them.
    desired : int
        So many are wanted; there are more where whole allocations have more.

    Returns
    -------
    dict
        ``desired``; ``members``, those that the head keeps up; of these ``submitted``, whose job waits or runs;
        ``pending`` with ``reasons``, how often each is given; ``running``; ``connected``; ``lost``, which are to be
        submitted again, or are to be replaced with their allocation. And ``leaving``, which are beside them.

    Examples
    --------
    >>> told = [
    ...     {"provider": "slurm", "state": "connected", "job": "1"},
    ...     {"provider": "slurm", "state": "pending", "job": "2", "reason": "Priority"},
    ...     {"provider": "slurm", "state": "lost", "job": None},
    ... ]
    >>> found = counted_jobs(told, 3)
    >>> found["submitted"], found["pending"], found["reasons"], found["running"], found["connected"], found["lost"]
    (2, 1, {'Priority': 1}, 1, 1, 1)
    """
    jobs = [worker for worker in workers if worker["provider"] not in (None, LOCAL)]
    own = [worker for worker in jobs if worker["state"] != LEAVING]
    leaving = len(jobs) - len(own)
    if not own and not leaving and not desired:
        return None
    states = Counter(worker["state"] for worker in own)
    submitted = [worker for worker in own if worker["job"] is not None]
    reasons = Counter(worker["reason"] or "no reason yet" for worker in own if worker["state"] == "pending")
    return {
        "desired": desired,
        "members": len(own),
        "submitted": len(submitted),
        "pending": states["pending"],
        "reasons": dict(reasons.most_common()),
        "running": sum(worker["state"] != "pending" for worker in submitted),
        "connected": states["connected"],
        "lost": states["lost"],
        "leaving": leaving,
    }


def in_words(found: dict[str, Any]) -> str:
    """Return it in one line.

    Examples
    --------
    >>> one = {"provider": "slurm", "state": "pending", "job": "2", "reason": "Priority"}
    >>> print(in_words(counted_jobs([one, one], 1)))
    1 desired (2 in whole allocations); 2 submitted, 2 pending (2 Priority), 0 running, 0 connected, 0 lost
    """
    more = f" ({found['members']} in whole allocations)" if found["members"] > found["desired"] else ""
    reasons = ", ".join(f"{number} {reason}" for reason, number in found["reasons"].items())
    pending = f"{found['pending']} pending{f' ({reasons})' if reasons else ''}"
    states = f"{found['running']} running, {found['connected']} connected, {found['lost']} lost"
    leaving = f"; {found['leaving']} leaving" if found["leaving"] else ""
    return f"{found['desired']} desired{more}; {found['submitted']} submitted, {pending}, {states}{leaving}"
