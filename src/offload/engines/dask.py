"""Batches on a Dask scheduler, wherever it is."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future as PlainFuture
from typing import Any, cast

from offload.engines.base import AGAIN, Engine
from offload.engines.cancellation import Cancelling
from offload.engines.errands import Errand, Told, exchange, serve
from offload.errors import EngineLostError, OffloadError, TakenBackError, UnseenError, WorkerLostError
from offload.registry.shared_files import Mark
from offload.runners.batch import run_batch
from offload.runners.dask_client import in_worker
from offload.transport.batch import Batch
from offload.transport.environment_error import OtherEnvironmentError
from offload.transport.exceptions import CarriedError, Raised
from offload.transport.large_arguments import LARGE
from offload.transport.outcome import Outcome
from offload.util.resources import COMMANDS, Resources, Supply, times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.engines.worker_deaths import Deaths
    from offload.transport.batch import Packed

END_DEADLINE = 10.0
TOLD_WITHIN = 2.0  # the news that a worker is gone may come before its nanny tells why
SLOTS_FRESH = 1.0
ANSWER_SECONDS = 20.0
UNSEEN_SECONDS = 60.0
"""For how long a worker that did not see the deployment's files is given none of its commands."""


class DaskEngine(Engine):
    """Runs batches through a Dask client.

    Parameters
    ----------
    client : distributed.Client
        Connected; closed with the engine.
    resumes : bool
        Whether batches that were under way when the scheduler went away are to be sent again to the next one.
    home : Mark, optional
        By which workers see whether they see the home; None where all do.
    supply : Supply, optional
        Knows which resources workers have; None where they are not asked for.
    declared : bool
        Whether workers that see the deployment's files say so, as those of offload do.
    deployment : str, optional
        Which has the logs of the workers.
    near : bool
        Whether this machine is the scheduler's, so that it reaches the workers as that does.
    """

    def __init__(
        self,
        client: Any,
        resumes: bool = False,
        home: Mark | None = None,
        supply: Supply | None = None,
        declared: bool = True,
        deployment: str | None = None,
        near: bool = False,
    ) -> None:
        self._client = client
        self._near = near
        self._deployment = deployment
        self._deaths: Deaths | None = None
        if client is not None:
            self._know_deaths()
        self._pending: set[PlainFuture[Any]] = set()
        self._remotes: dict[PlainFuture[Any], Any] = {}
        self._cancelling: Cancelling | None = None
        self._lock = threading.Lock()
        self._slots = (0.0, 1)
        self._seen: tuple[float, dict[str, dict[str, Any]]] = (0.0, {})
        self.declared = declared
        self._unseeing: dict[str, float] = {}  # addresses of workers that do not see the files, until when that counts
        self.resumes = resumes
        self._home = home
        self._supply = supply
        self.ending = False

    def _know_deaths(self) -> None:
        from offload.engines.worker_deaths import Deaths

        self._deaths = Deaths(self._client)

    def death_of(self, name: str, address: str = "", seconds: float = 0.0) -> str:
        """Return how a worker has ended lately, waited for some seconds; "" where nobody knows."""
        return self._deaths.of(address, name, seconds) if self._deaths is not None else ""

    def _killed(self, error: Any) -> WorkerLostError:
        """Return the error for what Dask has given up because each worker that ran it ended."""
        last = error.last_worker
        why = self.death_of(str(last.name), last.address, TOLD_WITHIN) or "nobody has told why"
        hint = f"offload logs {self._deployment} --worker {last.name}" if self._deployment is not None else None
        times = error.allowed_failures + 1
        return WorkerLostError(f"the worker that ran it ended, {times} times in a row: {why}", hint)

    def slots(self, resources: Resources = ()) -> int:
        """Return the number of threads of all workers that have what calls need; one while there are none yet."""
        asked, slots = self._slots
        if time.monotonic() - asked > SLOTS_FRESH:
            slots = max(1, self.threads)
            self._slots = time.monotonic(), slots
        if self._supply is None or self._supply.asked(resources) is None:
            return slots
        return max(1, self._supply.slots(resources, self._connected(SLOTS_FRESH)))

    def _by_address(self, fresh: float = 0.0) -> dict[str, dict[str, Any]]:
        """Return the workers, as the scheduler has known them within so many seconds."""
        asked, workers = self._seen
        if time.monotonic() - asked > fresh:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
            self._seen = time.monotonic(), workers
        return workers

    def _connected(self, fresh: float = 0.0) -> list[dict[str, Any]]:
        return list(self._by_address(fresh).values())

    # Workers that see the deployment's files, and others that have joined

    def unseeing(self) -> tuple[int, int]:
        """Return how many workers do not see the deployment's files, and how many there are."""
        workers, now = self._by_address(SLOTS_FRESH), time.monotonic()
        if self.declared:
            return sum(COMMANDS not in worker["resources"] for worker in workers.values()), len(workers)
        return sum(self._unseeing.get(address, 0.0) > now for address in workers), len(workers)

    def is_paused(self) -> bool:
        """Tell whether no worker takes anything on, because each has nearly no memory left."""
        workers = self._connected(SLOTS_FRESH)
        return bool(workers) and all(worker.get("status") == "paused" for worker in workers)

    def _where_seen(self, asked: dict[str, float] | None) -> dict[str, Any]:
        """Return what to tell Dask so that it chooses a worker that sees the files."""
        unseeing, _ = self.unseeing()
        if not unseeing:
            return {"resources": asked}
        if self.declared:
            return {"resources": {**(asked or {}), COMMANDS: 0.0}}
        able = [address for address in self._by_address(SLOTS_FRESH) if address not in self._unseeing]
        return {
            "resources": asked,
            "workers": able,
            "allow_other_workers": True,
        }  # should these go, it runs nowhere else

    @property
    def threads(self) -> int:
        """The number of threads of all workers, as the scheduler knows them now.

        Raises
        ------
        EngineLostError
            If the scheduler does not answer.
        """
        try:
            return sum(self._client.nthreads().values())
        except Exception as exc:  # a client that has given up raises what comes along
            raise EngineLostError(f"Dask's scheduler is gone: {exc}", AGAIN) from exc

    def _asked(self, resources: Resources) -> dict[str, float] | None:
        """Return what to ask Dask for, which may be nothing.

        Raises
        ------
        OffloadError
            If no worker has that, nor may come.
        """
        if self._supply is None:
            return None
        if resources:
            error = self._supply.lacking(resources, self._connected(SLOTS_FRESH))
            if error is not None and (error := self._supply.lacking(resources, self._connected())) is not None:
                raise error
        return self._supply.asked(resources)

    def submit(self, batch: Batch) -> PlainFuture[list[Outcome]]:
        """Send a batch to a worker."""
        batch.mark = self._home
        future: PlainFuture[list[Outcome]] = PlainFuture()
        try:
            asked = self._asked(batch.resources)
        except OffloadError as exc:  # about these calls, and no others
            future.set_exception(exc)
            return future
        with self._lock:
            self._pending.add(future)
        try:
            # Dask's scheduler is not made for large arguments: they go to a worker by themselves.
            large = [i for i, call in enumerate(batch.calls) if not isinstance(call, tuple) and len(call) >= LARGE]
            data = [self._client.scatter(_viewed(batch.calls[i]), hash=False, direct=self._near) for i in large]
            for i in large:
                batch.calls[i] = b""
            # An identity of its own for each batch: what has been computed before was recalled already.
            remote = self._client.submit(_run, batch, large, *data, pure=False, resources=asked)
        except Exception as exc:  # as above
            with self._lock:
                self._pending.discard(future)
            raise EngineLostError(f"Dask's scheduler is gone: {exc}", AGAIN) from exc
        with self._lock:
            self._remotes[future] = remote
        remote.add_done_callback(lambda done: self._arrived(future, done))
        return future

    def cancel(self, sent: PlainFuture[list[Outcome]], call: int) -> None:
        """Have a call ended where it runs; a batch that no worker has yet is taken back."""
        with self._lock:
            remote = self._remotes.get(sent)
        if remote is not None:
            if self._cancelling is None:
                self._cancelling = Cancelling(self._client, self._take_back)
            self._cancelling.tell(remote.key, call)

    def _take_back(self, key: str) -> None:
        with self._lock:
            found = [(future, remote) for future, remote in self._remotes.items() if remote.key == key]
        for future, remote in found:
            self.settle(future, None, TakenBackError("calls of its batch were cancelled"))
            remote.release()

    def start(
        self, function: Callable[..., Any], *arguments: Any, name: str, resources: Resources = ()
    ) -> PlainFuture[Any]:
        """Have a worker that has such resources, and sees the deployment's files, call a function.

        It is a task of its own that `name` begins the key of.

        The future tells only that it has ended, or how it has failed.

        Raises
        ------
        EngineLostError
            As for `submit`.
        """
        future: PlainFuture[Any] = PlainFuture()
        try:
            asked = self._asked(resources)
        except OffloadError as exc:  # about this one, and no others
            future.set_exception(exc)
            return future
        with self._lock:
            self._pending.add(future)
        key = f"{name}-{secrets.token_hex(4)}"
        try:
            remote = self._client.submit(function, *arguments, key=key, pure=False, **self._where_seen(asked))
        except Exception as exc:  # as above
            with self._lock:
                self._pending.discard(future)
            raise EngineLostError(f"Dask's scheduler is gone: {exc}", AGAIN) from exc
        with self._lock:
            self._remotes[future] = remote
        # What it has returned stays with the worker: to fetch it while it is released would have it run again.
        remote.add_done_callback(lambda done: self._arrived(future, done, fetch=False))
        return future

    def ask(self, function: Callable[..., Any], *arguments: Any, resources: Resources = ()) -> list[Any]:
        """Return what a coroutine function gives in one worker of each machine and group that sees the files.

        It runs beside what they are running. Those that fail, or do not answer in time, are left out.
        """
        chosen: dict[tuple[str, str], str] = {}
        for address, worker in self._by_address().items():
            if (not self.declared or COMMANDS in worker["resources"]) and times(
                dict(resources), worker["resources"], 1
            ):
                chosen.setdefault((worker["host"], str(worker["name"]).rpartition("-")[0]), address)

        async def one(address: str) -> Any:
            asked = self._client._run(function, *arguments, workers=[address])
            return (await asyncio.wait_for(asked, ANSWER_SECONDS))[address]

        async def each() -> list[Any]:
            return await asyncio.gather(*map(one, chosen.values()), return_exceptions=True)

        try:
            found = asyncio.run_coroutine_threadsafe(each(), self._client.loop.asyncio_loop).result(END_DEADLINE * 3)
        except Exception as exc:  # as above
            raise EngineLostError(f"Dask's scheduler is gone: {exc}", AGAIN) from exc
        return [answer for answer in found if not isinstance(answer, BaseException)]

    def release(self, future: PlainFuture[Any]) -> None:
        """Let go of what `start` has begun: where it does not run yet, it will not."""
        with self._lock:
            self._pending.discard(future)
            remote = self._remotes.pop(future, None)
        if remote is not None:
            remote.release()

    def _arrived(self, future: PlainFuture[Any], remote: Any, fetch: bool = True) -> None:
        if fetch:
            with self._lock:
                self._remotes.pop(future, None)
        if self.ending or remote.status not in ("finished", "error"):
            # Its result would be waited for without end.
            gone: OffloadError = EngineLostError("Dask's scheduler is gone", AGAIN)
            if not self.ending and self._client.status == "running":
                # The scheduler is there: a large argument has gone down with the worker that held it.
                gone = WorkerLostError("the worker that ran it ended")
            self.settle(future, None, gone)
        elif remote.status == "error":
            self._failed(future, remote.exception())
        elif not fetch:
            self.settle(future, None, None)
        else:  # not from here, where others wait for their turn
            self._client.loop.add_callback(self._fetch, future, remote)

    async def _fetch(self, future: PlainFuture[Any], remote: Any) -> None:
        """Get the outcomes of a batch that has ended, in the thread of Dask's client."""
        try:
            answer = await remote
        except BaseException as exc:
            await asyncio.to_thread(self._failed, future, exc)  # it may have to wait
            return
        if isinstance(answer, OffloadError):
            self._failed(future, answer)
        elif isinstance(answer, Raised):
            self.settle(future, None, CarriedError(answer))
        else:
            self.settle(future, answer, None)

    def _failed(self, future: PlainFuture[Any], error: BaseException) -> None:
        from distributed import KilledWorker
        from distributed.comm.core import CommClosedError

        if isinstance(error, KilledWorker):
            error = self._killed(error)
        elif isinstance(error, CommClosedError):  # between the news of the result and the result itself
            error = EngineLostError("Dask's scheduler is gone", AGAIN)
        elif isinstance(error, UnseenError):
            self._unseeing[error.worker] = time.monotonic() + UNSEEN_SECONDS
        self.settle(future, None, error)

    def settle(self, future: PlainFuture[Any], outcomes: Any, error: BaseException | None) -> None:
        """Give a batch, or what else was begun, its end, once."""
        with self._lock:
            if future not in self._pending:
                return
            self._pending.remove(future)
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(outcomes)

    def lose_all(self, error: EngineLostError) -> None:
        """Tell everybody who waits that the scheduler is gone."""
        with self._lock:
            pending = list(self._pending)
        for future in pending:
            self.settle(future, None, error)

    def exchange(self, asked: Errand) -> Told | str:
        """Exchange something with a process on the machine of a worker, or say why that cannot be."""
        return exchange(self._client, asked)

    def close(self) -> None:
        """Close the client."""
        self._client.close(timeout=END_DEADLINE)

    def kill(self) -> None:
        """Close the client, waiting for nothing."""
        self.ending = True
        self.lose_all(EngineLostError("Dask's scheduler is gone", AGAIN))
        with contextlib.suppress(Exception):  # without its scheduler, it may fail in many ways
            self._client.close(timeout=1)


def _viewed(call: Any) -> Any:
    """Return packed arguments as Dask does not copy them: its workers get views of what has arrived."""
    return memoryview(call) if isinstance(call, bytes) else call


def _run(batch: Batch, positions: list[int], *data: Any) -> list[Outcome] | OffloadError | Raised:
    from distributed import get_worker, secede

    for position, call in zip(positions, data, strict=True):
        # It may run once more: nothing is to be changed here.
        batch.calls[position] = cast("Packed", call.toreadonly() if isinstance(call, memoryview) else call)
    worker = get_worker()
    name = worker.name if isinstance(worker.name, str) else f"worker {worker.name}"
    if not worker.address.startswith("inproc:"):
        from offload.runners.pool import pool_of

        serve(worker)
        answer = pool_of(worker).run(batch, name, str(worker.get_current_task()), secede)
        if isinstance(answer, OtherEnvironmentError) and answer.machine is not None:
            answer.machine = answer.machine._replace(worker=worker.address)
        return answer
    batch.directory = worker.local_directory  # the user's own process, which wants all in it
    try:
        with in_worker(secede):
            return run_batch(batch, name)
    except OffloadError as exc:  # given back: what is raised, Dask logs as a failure of its own
        return exc
    except Exception as exc:  # from code of the user's as it is loaded: nobody else may have to understand it
        return Raised(exc)
