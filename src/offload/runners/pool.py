"""The runners of a Dask worker: which of them runs a batch, and what becomes of it when one ends."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import re
import shutil
import threading
import time
from collections import Counter, OrderedDict
from functools import cache
from typing import Any

from offload.errors import OffloadError, WorkerLostError
from offload.identity.libraries import installed
from offload.runners.keeper import Keeper
from offload.runners.link import DiedError, Link
from offload.runners.process import CLOSED, ENDING_SECONDS, FAILED, LEFT, OTHER, OUTDATED
from offload.runners.pythons import chosen, differs, fits, unfit
from offload.runners.watchdog import TOLD_AFTER, Watching
from offload.transport.environment_error import OtherEnvironmentError
from offload.transport.exceptions import Raised
from offload.transport.load import OWN_DIRECTORY
from offload.transport.outcome import Outcome
from offload.util.exit_status import described

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from offload.runners.dask_client import Scheduler
    from offload.transport.batch import Batch

logger = logging.getLogger("distributed.worker")

IDLE_SECONDS, START_SECONDS = 300.0, 120.0
HINT = "its machine may be short of memory, of processes (ulimit -u) or of open files (ulimit -n)"
SPARE_PAUSE = 5.0
MOST_GIVEN_UP = 1000
"""Batches that have not come, of which unwanted calls are remembered."""

LOOKING_SECONDS = 0.5
"""How long runners that end since they are idle may hold up what looks after the others."""

MOST_IDLE = 2
"""More than the worker has threads, beside a spare."""

TIRED_AFTER = 3
MOST_LINES = 12
_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
_OWN = re.compile(rf'  File "({re.escape(_PACKAGE)}|<string>", line \d+ in <module>$)')


class Pool:
    """Runs batches in runners, as many at once as threads ask for it.

    Parameters
    ----------
    directory : str
        The worker's own.
    limit : int, optional
        How many bytes the worker may use, its runners included.
    hurts : float
        The part of it at which a runner is ended.
    spare : bool
        Whether to have one that has run nothing yet in reserve.
    scheduler : (str, bytes), optional
        For calls that use Dask themselves; see :mod:`offload.runners.dask_client`.
    """

    def __init__(
        self,
        directory: str,
        limit: int | None = None,
        hurts: float = 1.0,
        spare: bool = True,
        scheduler: Scheduler | None = None,
    ) -> None:
        self._directory = directory
        self._scheduler = scheduler
        self._spare = spare
        self._lock = threading.Lock()
        self._links: list[Link] = []
        self._worn: Counter[str] = Counter()  # how often calls of a function have changed what it reaches
        self._unwanted: dict[str, set[int]] = {}  # calls of the batches that are here
        self._given_up: OrderedDict[str, set[int]] = OrderedDict()  # of others
        self._started = 0.0
        self._closed = False
        self._watching = Watching(limit, hurts)
        installed.look()
        self._keeper = Keeper(self._look)
        if spare:
            self._start_spare()

    def give_up(self, key: str, calls: set[int]) -> None:
        """End some calls of a batch, or do not begin them: nobody waits for them any more.

        Parameters
        ----------
        key : str
            Of the batch, which may be yet to come.
        calls : set of int
            Their places in it.
        """
        with self._lock:
            if key in self._unwanted:
                self._unwanted[key].update(calls)
                return
            self._given_up.setdefault(key, set()).update(calls)
            while len(self._given_up) > MOST_GIVEN_UP:
                self._given_up.popitem(last=False)

    def run(
        self, batch: Batch, where: str, key: str = "", waits: Callable[[], None] = lambda: None
    ) -> list[Outcome] | OffloadError | Raised:
        """Run a batch; what ends a runner costs the call that it was running.

        Parameters
        ----------
        batch : Batch
            The calls.
        where : str
            What the worker is called in messages.
        key : str
            By which calls of it are given up.
        waits : callable
            Called once, when a call may wait for others.

        Returns
        -------
        list of Outcome, or OffloadError or Raised
            One for each call; or why none of them can run.
        """
        with self._lock:
            unwanted = self._unwanted[key] = self._given_up.pop(key, set())
        try:
            return self._run(batch, where, unwanted, cache(waits))
        finally:
            with self._lock:
                self._unwanted.pop(key, None)

    def _run(
        self, batch: Batch, where: str, unwanted: set[int], waits: Callable[[], None]
    ) -> list[Outcome] | OffloadError | Raised:
        calls, outcomes = batch.calls, list[Outcome]()
        suspect = -1  # the call that has ended one runner already
        while len(outcomes) < len(calls):
            at = len(outcomes)
            if at in unwanted:
                outcomes.append(_failed(OffloadError("it was cancelled")))
                continue
            end = min((place for place in unwanted.copy() if place > at), default=len(calls))
            batch.calls = calls[at : end if suspect != at else at + 1]
            try:
                link = self._take(batch, where, fresh=suspect == at)
            except OffloadError as exc:
                return exc
            link.first, link.unwanted = at, unwanted
            try:
                kind, what = self._answers(link, batch, where, outcomes, waits)
            except DiedError:
                link.end()
                outcomes += link.outcomes()
                code, broken = self._end(link), link.broken
                if self._closed:
                    return WorkerLostError(f"{where} ends")
                if len(outcomes) in unwanted:
                    continue
                if broken is not None and broken[0] == link.began:
                    outcomes.append(_failed(broken[1], link.began))
                elif broken is not None or link.given_up:
                    logger.warning("%s: the process of its calls was ended, and they go on in another one", where)
                elif code == CLOSED:
                    outcomes.append(_failed(_closed(), link.began))
                elif suspect != len(outcomes):
                    suspect = len(outcomes)
                    logger.warning("%s: the process of a call %s", where, described(code, None, None))
                else:
                    error, loading = _lost(code, link.last_words()), not link.began
                    if loading and not outcomes:
                        return error
                    outcomes += [_failed(error) for _ in (calls[suspect:] if loading else [None])]
                continue
            if kind == OTHER:
                link.refused.add(batch.function)
                self._worn[batch.function] += what.worn
            if kind in (LEFT, OUTDATED) or (kind == OTHER and what.worn):
                self._end(link, at_once=True)
            else:
                self._give_back(link)
            if kind == FAILED:
                if isinstance(what, OtherEnvironmentError) and link.python is not None:
                    what = differs(batch, link.python, what)
                if not outcomes:
                    answer: OffloadError | Raised = what
                    return answer
                outcomes += [_failed(what) for _ in calls[len(outcomes) :]]
        return outcomes

    def _answers(
        self, link: Link, batch: Batch, where: str, outcomes: list[Outcome], waits: Callable[[], None]
    ) -> tuple[str, Any]:
        """Have a runner run a batch, add its outcomes to others, and return what it has said last."""
        batch.directory = self._directory
        if link.python is not None:
            where = f"{link.python.executable} on {where}"
        link.ask(batch, where, self._worn[batch.function] > TIRED_AFTER, self._scheduler)
        answer = link.answer(waits)
        outcomes += link.outcomes()
        return answer

    def _take(self, batch: Batch, where: str, fresh: bool) -> Link:
        """Return a runner for a batch: best one that has run calls of its function, else one of which little is known.

        With `fresh`, one that has run nothing.

        Raises
        ------
        OffloadError
            If it cannot be started, no Python has what the calls need, or the worker ends.
        """
        python = chosen(batch, where)
        with self._lock:
            able = [link for link in self._links if link.python == python and batch.function not in link.refused]
            idle = [link for link in able if not link.busy and link.stopped is None and not link.given_up]
            if fresh:
                idle = [link for link in idle if link.is_fresh]
            # Of those that have run something the last one: others end when they are idle for long.
            best = max(idle, key=lambda link: (batch.function in link.served, link.since), default=None)
            if best is not None:
                best.busy = True
        if best is None:
            self._started = time.monotonic()
            try:
                best = self._keeper.start(python).result(START_SECONDS)
            except (OSError, TimeoutError) as exc:
                said = str(exc) or f"not within {START_SECONDS:g} s"
                if python is not None:
                    raise unfit(batch, where, python, said) from exc
                raise OffloadError(f"a worker cannot start a process for calls: {said}", HINT) from exc
            best.busy = True
            self._add(best)
            if python is not None:
                if said := self._greeted_by(best):
                    raise unfit(batch, where, python, said)
                fits(batch, python)
        best.served.add(batch.function)
        return best

    def _greeted_by(self, link: Link) -> str:
        """Wait until a runner of another Python is ready; return what it said where it has ended instead."""
        try:
            link.answer(within=START_SECONDS)
        except DiedError:
            code = self._end(link)
            if self._closed:
                raise WorkerLostError("the worker ends") from None
            return (link.last_words().splitlines() or [f"it {described(code, None, None)}"])[-1]
        return ""

    def _start_spare(self) -> None:
        self._started = time.monotonic()
        self._keeper.start().add_done_callback(lambda done: None if done.exception() else self._add(done.result()))

    def _add(self, link: Link) -> None:
        with self._lock:
            self._links.append(link)

    def _give_back(self, link: Link) -> None:
        with self._lock:
            link.unwanted = set()
            link.busy, link.batch, link.since = False, None, time.monotonic()

    def _end(self, link: Link, at_once: bool = False) -> int:
        """End a runner, or see it end, and remove what it has left; return its exit code."""
        with self._lock:
            if link in self._links:
                self._links.remove(link)
        if at_once:
            link.kill()
        code = link.end()
        self._keeper.forget(link)
        link.close()
        shutil.rmtree(os.path.join(self._directory, OWN_DIRECTORY.format(link.pid)), ignore_errors=True)
        return code

    def _end_idle(self, links: list[Link], seconds: float) -> None:
        """End runners that run nothing: for a while, they do what calls have left for the end of their process."""
        parting = [link for link in links if not link.is_fresh and link.stopped is None and not link.given_up]
        for link in parting:
            with contextlib.suppress(OSError):  # it has ended
                link.part()
        until = time.monotonic() + seconds
        while not all(link.has_ended() for link in parting) and time.monotonic() < until:
            time.sleep(0.005)
        for link in links:
            self._end(link, at_once=True)

    def _look(self) -> None:
        """Look after the runners; called by their keeper."""
        with self._lock:
            links = list(self._links)
        self._watching.look(links)
        now = time.monotonic()
        with self._lock:
            idle = sorted((link for link in self._links if not link.busy), key=lambda link: link.since)
            used = [link for link in idle if not link.is_fresh]
            busy = len(self._links) - len(idle)
            over = used[: max(0, len(used) - MOST_IDLE - busy)]
            over += [link for link in used if now - link.since > IDLE_SECONDS and link not in over]
            over += [link for link in idle if (link.given_up or link.has_ended()) and link not in over]
            for link in over:
                link.busy = True
        self._end_idle(over, LOOKING_SECONDS)
        if self._spare and len(used) == len(idle) and now - self._started > SPARE_PAUSE:
            self._start_spare()

    @property
    def stopped(self) -> list[tuple[int, float]]:
        """The runners that have been stopped for a while: the process of each, and the seconds."""
        with self._lock:
            since = [(link.pid, link.stopped) for link in self._links]
        now = time.monotonic()
        return [(pid, now - begun) for pid, begun in since if begun is not None and now - begun > TOLD_AFTER]

    def stop(self) -> None:
        """End what is running, at once."""
        with self._lock:
            self._closed, self._spare = True, False
            busy = [link for link in self._links if link.busy]
        for link in busy:  # whose threads see that, and clear up
            link.kill()
            with contextlib.suppress(OSError):
                link.part()

    def close(self) -> None:
        """End all runners, and what they run."""
        self.stop()
        self._end_idle(self._idle(), ENDING_SECONDS)  # while the thread lives that has started them: they end with it
        self._keeper.end()
        self.stop()  # what was started meanwhile
        self._end_idle(self._idle(), 0.0)

    def _idle(self) -> list[Link]:
        """Take those that run nothing."""
        with self._lock:
            idle = [link for link in self._links if not link.busy]
            for link in idle:
                link.busy = True
        return idle


def _failed(error: OffloadError | Raised, began: float = 0.0) -> Outcome:
    """Return the outcome of a call that has not run to its end, since it has begun (monotonic)."""
    outcome = Outcome(time.time())
    outcome.seconds = time.monotonic() - began if began else 0.0
    outcome.error = error if isinstance(error, Raised) else Raised(error)
    return outcome


def _closed() -> WorkerLostError:
    return WorkerLostError(
        "the call closed descriptors that it had not opened, through which its result would have been given back",
        "close what it has opened; a child that it starts may close all",
    )


def _lost(code: int, words: str) -> WorkerLostError:
    # What is below the call in that which faulthandler writes says nothing of it.
    lines = [line for line in words.splitlines() if not _OWN.match(line)][-MOST_LINES:]
    hint = "\n    ".join(["it wrote last:", *lines]) if lines else None
    return WorkerLostError(f"the process that ran it {described(code, None, None)}, twice", hint)


STOPPED = "offload_stopped"
"""What a worker tells its scheduler under this name with each heartbeat: see `Pool.stopped`."""

_made = threading.Lock()


def pool_of(worker: Any) -> Pool:
    """Return the runners of a Dask worker, which has them as long as it lives."""
    import dask.config

    with _made:
        pool: Pool | None = getattr(worker, "offload_runners", None)
        if pool is None:
            hurts = dask.config.get("distributed.worker.memory.terminate", False)
            limit = worker.memory_manager.memory_limit if hurts else None
            scheduler = worker.scheduler.address, pickle.dumps(worker.security)
            pool = worker.offload_runners = Pool(worker.local_directory, limit, float(hurts), scheduler=scheduler)
            worker.metrics[STOPPED] = lambda worker: worker.offload_runners.stopped
        return pool


@contextlib.contextmanager
def ending_pool_of(worker: Any) -> Iterator[None]:
    """End the runners of a worker that closes: first what they run, for which it would wait."""
    pool: Pool | None = getattr(worker, "offload_runners", None)
    if pool is not None:
        pool.stop()
    try:
        yield
    finally:
        if pool is not None:
            pool.close()
