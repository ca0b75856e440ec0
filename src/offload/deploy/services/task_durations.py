"""What the scheduler knows of how long calls take, for workers whose walltime ends."""

from __future__ import annotations

import pickle
import time
from collections import OrderedDict
from typing import Any

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin

from offload.deploy.allocation_counts import LOSSES
from offload.errors import WalltimeError
from offload.util.quantities import duration_text

REMEMBERED = 3600.0
"""The longest task of so many seconds counts, or of half of that."""

MOST, EARLY, KEPT = 1000, 10.0, 600.0
COMMAND = "offload-command-"


class Longest:
    """The longest of lately.

    Examples
    --------
    >>> longest = Longest()
    >>> longest.add(5.0, now=0.0), longest.add(3.0, now=2000.0)
    (None, None)
    >>> longest.of(now=2100.0), longest.of(now=4000.0), longest.of(now=9000.0)
    (5.0, 3.0, 0.0)
    """

    def __init__(self) -> None:
        self._begun = float("-inf")
        self._now = self._before = 0.0

    def add(self, seconds: float, now: float) -> None:
        """Take note of one."""
        self._turn(now)
        self._now = max(self._now, seconds)

    def of(self, now: float) -> float:
        """Return the longest; 0 where there is none."""
        self._turn(now)
        return max(self._now, self._before)

    def _turn(self, now: float) -> None:
        half = REMEMBERED / 2
        if now - self._begun >= half:
            self._before = self._now if now - self._begun < 2 * half else 0.0
            self._begun, self._now = now, 0.0


class Durations(SchedulerPlugin):  # type: ignore[misc, unused-ignore]
    """Remembers how long tasks took, and fails those that are longer than the walltime of any worker.

    Parameters
    ----------
    scheduler : Scheduler
        Whose tasks they are; it has this as a plugin, and as two handlers.
    """

    name = "offload-durations"

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._longest: dict[str, Longest] = {}
        self._ends: dict[str, tuple[float, float]] = {}
        self._losses: OrderedDict[str, tuple[int, str, float, float]] = OrderedDict()
        scheduler.handlers["longest"] = self.longest
        scheduler.handlers["walltimes"] = self.walltimes
        scheduler.add_plugin(self)

    def longest(self) -> dict[str, float]:
        """Return, by groups of workers, how many seconds the longest task took lately, or has been running."""
        now = time.monotonic()
        found = {group: one.of(now) for group, one in self._longest.items()}
        for worker in self._scheduler.workers.values():
            group = _group(worker.name)
            found[group] = max([found.get(group, 0.0), *worker.executing.values()])
        return found

    def walltimes(self, ends: dict[str, list[float]]) -> list[list[Any]]:
        """Take note of when the walltime of workers ends; return what was lost with that, and waits or runs again.

        Parameters
        ----------
        ends : dict
            For names of workers the Unix time of the end, and how many seconds the walltime is in all.

        Returns
        -------
        list
            For each task how many seconds it had been running, and the walltime of its worker.
        """
        kept = {name: end for name, end in self._ends.items() if time.time() - end[0] < KEPT}
        self._ends = kept | {name: (finish, whole) for name, (finish, whole) in ends.items()}
        return [[ran, whole] for _, key, ran, whole in self._losses.values() if key in self._scheduler.tasks]

    def leaving(self, address: str) -> None:
        """Take note of what a worker runs that is about to be removed."""
        worker = self._scheduler.workers.get(address)
        if worker is not None:
            for task, ran in worker.executing.items():
                self._lost(str(task.key), worker.name, ran)

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Take note of a task that has ended, or is to run again."""
        if start == "processing" and finish == "memory":
            worker = self._scheduler.workers.get(kwargs.get("worker", ""))
            seconds = sum(one["stop"] - one["start"] for one in kwargs.get("startstops") or ())
            if worker is None:
                return
            self._longest.setdefault(_group(worker.name), Longest()).add(seconds, time.monotonic())
            if str(key).startswith(COMMAND):  # ended by itself, or with its worker, which cannot be told from here
                self._lost(str(key), worker.name, seconds)
        elif finish == "processing" and self._losses:
            known = self._losses.get(_what(str(key)))
            if known is None:
                return
            self._losses[_what(str(key))] = (known[0], str(key), *known[2:])
            if known[0] >= LOSSES:
                self._scheduler.loop.add_callback(self._fail, key, known[2], known[3])

    def _lost(self, key: str, worker: Any, ran: float) -> None:
        finish, whole = self._ends.get(str(worker), (float("inf"), 0.0))
        if time.time() < finish - EARLY or ran < whole / 2:
            return
        number = self._losses.pop(_what(key), (0,))[0]
        self._losses[_what(key)] = (number + 1, key, ran, whole)
        if len(self._losses) > MOST:
            self._losses.popitem(last=False)

    def _fail(self, key: Any, ran: float, whole: float) -> None:
        task = self._scheduler.tasks.get(key)
        worker = None if task is None else task.processing_on
        if worker is None:
            return
        had, allowed = duration_text(round(ran)), duration_text(round(whole))
        error = WalltimeError(
            f"it ran for {had} until the walltime of its worker, {allowed}, was over, {LOSSES} times",
            "bring up workers with a longer --walltime",
        )
        stimulus = f"offload-walltime-{time.time()}"
        given = {"exception": pickle.dumps(error), "cause": key, "worker": worker.address}
        found = self._scheduler.transition(key, "erred", stimulus_id=stimulus, **given)
        self._scheduler.transitions(found, stimulus_id=stimulus)
        drop = {"op": "free-keys", "keys": [key], "stimulus_id": stimulus}
        self._scheduler.send_all({}, {worker.address: [drop]})
        self._losses.pop(_what(str(key)), None)


def _group(worker: Any) -> str:
    return str(worker).rpartition("-")[0]


def _what(key: str) -> str:
    """Return what a task is: a command has another key each time that it is given to a worker."""
    return key.rpartition("-")[0] if key.startswith(COMMAND) else key
