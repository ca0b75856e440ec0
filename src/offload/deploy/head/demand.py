"""How many workers of each group the work asks for."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from offload.util.resources import HIDDEN, parse_resources, times

WORTH = 0.5
"""So many seconds of work are worth a thread: what Dask takes a task for of which nothing is known."""

MEMORY_FULL = 0.6
"""A group whose workers have used this share of their memory gets more of them."""


@dataclasses.dataclass(frozen=True)
class Supplier:
    """A group of workers, as far as it matters here.

    Attributes
    ----------
    name : str
        Its name.
    threads : int
        Of each worker.
    resources : dict
        Of each worker.
    most : int
        So many workers there may be.
    current : int
        So many there are.
    """

    name: str
    threads: int
    resources: Mapping[str, float]
    most: int
    current: int = 0

    def slots(self, needed: Mapping[str, float], special: bool) -> int:
        """Return how many calls each worker runs at once; `special`: it takes only calls that ask for what it has."""
        if special and self.resources and not set(needed) - HIDDEN:
            return 0
        return times({name: n for name, n in needed.items() if name not in HIDDEN}, self.resources, self.threads)


def wanted_workers(
    suppliers: Sequence[Supplier], dask: Mapping[str, Any], calls: Mapping[str, tuple[int, float]]
) -> Counter[str]:
    """Return how many workers of each group the work asks for.

    What Dask knows of counts, commands too, and calls that the job service holds back.

    Parameters
    ----------
    suppliers : sequence of Supplier
        The groups; what several of them could do is for the first, as far as that may have enough workers.
    dask : mapping
        What :meth:`offload.deploy.services.dask.HeadScheduler.demand` gives.
    calls : mapping
        By the resources that calls need, as text: how many, and how many seconds they may take.

    Examples
    --------
    >>> plain, gpu = Supplier("worker", 4, {}, 10), Supplier("gpu", 8, {"GPU": 2}, 3)
    >>> nothing = {"waiting": [], "workers": {}}
    >>> dict(wanted_workers([plain, gpu], nothing, {"": (9, 90.0), "GPU=1": (3, 3.0)}))
    {'worker': 3, 'gpu': 2}
    """
    held = spread(suppliers, ((dict(parse_resources(text)), *much) for text, much in calls.items()))
    waiting = spread(suppliers, dask["waiting"])
    known = {supplier.name for supplier in suppliers}
    wanted: Counter[str] = Counter()
    joined = 0
    for worker in dask["workers"]:
        joined += _group(worker, known) is None
    for index, supplier in enumerate(suppliers):
        own = [much for worker, much in dask["workers"].items() if _group(worker, known) == supplier.name]
        threads = sum(_threads(tasks, seconds) for tasks, seconds, _, _ in own)
        at_work = math.ceil(threads / supplier.threads) + waiting[supplier.name]
        used, memory = sum(much[2] for much in own), sum(much[3] for much in own)
        if used > MEMORY_FULL * memory > 0:
            at_work = max(at_work, 2 * supplier.current)
        # Workers that others have started do their part.
        wanted[supplier.name] = max(at_work - (0 if index else joined), held[supplier.name], 0)
    return wanted


def spread(suppliers: Sequence[Supplier], demand: Iterable[tuple[Mapping[str, float], float, float]]) -> Counter[str]:
    """Return how many workers of each group some work asks for: what it needs, how many tasks, how many seconds."""
    found: Counter[str] = Counter()
    special = [index > 0 for index in range(len(suppliers))]  # those of the first take everything that they can
    for needed, tasks, seconds in demand:
        threads = _threads(tasks, seconds)
        for supplier, apart in zip(suppliers, special, strict=True):
            slots = supplier.slots(needed, apart)
            if not slots or threads <= 0:
                continue
            taken = min(supplier.most - found[supplier.name], math.ceil(threads / slots))
            found[supplier.name] += taken
            threads -= taken * slots
    return found


def _threads(tasks: float, seconds: float) -> int:
    return min(math.ceil(tasks), math.ceil(seconds / WORTH))


def _group(worker: str, known: set[str]) -> str | None:
    prefix = worker.rpartition("-")[0]
    return prefix if prefix in known else None
