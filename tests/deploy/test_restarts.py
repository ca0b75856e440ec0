"""A job service that is started again at any moment: every call comes to its end, and none is made twice by it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

import offload
from offload.api import submit
from offload.errors import BasketGoneError, StorageError
from offload.jobs.calls import service as service_
from offload.jobs.calls.client import Jobs
from offload.jobs.calls.protocol import Parcel, chunks
from offload.jobs.calls.service import JobService
from offload.storage.retrying import Patience

CALLS = 30


@offload.task(effects="ignore")
def double(number: int) -> int:
    return 2 * number


class Worked:
    """Makes calls in the place of Dask's workers, in a thread; those of a service that is gone go with it."""

    def __init__(self, start: Any) -> None:
        self.made = Counter[str]()
        self.gone = False
        self.unrecorded: str | None = None

    def add(self, session: Any, function: Any, calls: Any) -> None:
        for call, _ in calls:
            self.made[call.transformation] += 1

        def make() -> None:
            for call, future in calls:
                if not self.gone and future.set_running_or_notify_cancel():
                    future.unrecorded = self.unrecorded
                    future.set_buffer((2 * call.packed()[0][0]).to_bytes(8, "big"), recalled=False)

        threading.Timer(0.005, make).start()


class Request:
    """As much of a request as the service looks at."""

    def __init__(self, body: bytes, basket: str, query: dict[str, str]) -> None:
        self._body = body
        self.content_length = len(body)
        self.match_info = {"basket": basket}
        self.query = query

    async def read(self) -> bytes:
        return self._body


class Nothing:
    """A session with nothing on record."""

    def recall(self, transformations: list[str]) -> list[None]:
        return [None] * len(transformations)


class Restarted:
    """A job service as its clients see it, that is started again before and after requests, as it is told to.

    Parameters
    ----------
    when : callable
        Gets the kind of a request, its number, and "before" it arrives or "after" it, when its answer is lost.
    restart : bool
        Whether the service is another one then; else only the connection breaks.
    """

    def __init__(self, when: Callable[[str, int, str], bool], restart: bool = True) -> None:
        self._when = when
        self._restart = restart
        self._lock = threading.Lock()
        self._seen = Counter[str]()
        self.workers: list[Worked] = []
        self.broken = 0
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._begin()

    def _begin(self) -> None:
        async def made() -> JobService:
            return JobService(Nothing(), lambda: None)  # type: ignore[arg-type,return-value]

        if self.workers:
            self.workers[-1].gone = True
        self.service = asyncio.run_coroutine_threadsafe(made(), self.loop).result(60)
        self.workers.append(self.service._batcher)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def exchange(self, method: str, path: str, idle: float) -> Iterator[Any]:
        yield SimpleNamespace(whole=lambda: self.call(method, path).body)

    def call(self, method: str, path: str, body: Sequence[bytes | memoryview] = ()) -> Any:
        with self._lock:
            number = self._seen[method]
            self._seen[method] += 1
        self._break(method, number, "before")
        service = self.service
        name, _, query = path.rpartition("/")[2].partition("?")
        request: Any = Request(b"".join(body), name, dict(one.split("=") for one in query.split("&") if one))
        answer = service.submit(request) if method == "POST" else service.fetch(request)
        told = asyncio.run_coroutine_threadsafe(answer, self.loop).result(60)
        self._break(method, number, "after")
        if service is not self.service:
            raise lost()  # it has ended meanwhile
        return told

    def _break(self, method: str, number: int, place: str) -> None:
        with self._lock:
            if not self._when(method, number, place):
                return
            self.broken += 1
            if self._restart:
                self._begin()
        raise lost()

    def close(self) -> None:
        """Let go of a connection."""

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(60)
        self.loop.close()


def lost() -> StorageError:
    error = StorageError("the connection was cut")
    error.__cause__ = OSError()
    return error


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, home: object) -> Iterator[Callable[[Restarted], Jobs]]:
    made: list[tuple[Jobs, Restarted]] = []

    def begin(service: Restarted) -> Jobs:
        jobs = Jobs(lambda: service, Patience("it", lambda text: None))  # type: ignore[arg-type,return-value]
        made.append((jobs, service))
        monkeypatch.setattr(submit, "dispatcher", lambda session: jobs)
        return jobs

    monkeypatch.setattr(service_, "Batcher", Worked)
    monkeypatch.setattr("offload.jobs.calls.client.POLL_SECONDS", 0.2)
    monkeypatch.setattr("offload.storage.retrying.PAUSE", 0.01)
    monkeypatch.setattr("offload.tasks.futures.Future.set_buffer", take)
    yield begin
    for jobs, service in made:
        jobs.close()
        service.end()


def take(future: Any, data: bytes, recalled: bool) -> None:
    future.set_result(int.from_bytes(data, "big"))


def points(method: str, number: int, place: str) -> Callable[[str, int, str], bool]:
    return lambda *seen: seen == (method, number, place)


@pytest.mark.parametrize("restart", [True, False], ids=["restarted", "cut"])
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("number", [0, 1, 2, 5])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_every_call_is_made_once_by_a_service(
    use: Callable[[Restarted], Jobs], method: str, number: int, place: str, restart: bool
) -> None:
    service = Restarted(points(method, number, place), restart)
    jobs = use(service)
    futures = [double.submit(n) for n in range(CALLS)]
    while not service.broken:  # each round trip is another request
        futures.append(double.submit(len(futures)))
        offload.gather(futures, timeout=60)
    assert offload.gather(futures, timeout=60) == [2 * n for n in range(len(futures))]
    assert jobs.unfinished(60) == 0
    for workers in service.workers:
        assert set(workers.made.values()) <= {1}
    if not restart:
        assert len(service.workers[0].made) == len(futures)


def test_a_service_that_is_started_again_and_again(use: Callable[[Restarted], Jobs]) -> None:
    service = Restarted(lambda method, number, place: (number * 7 + len(method) + len(place)) % 5 == 0)
    jobs = use(service)
    futures = [double.submit(n) for n in range(200)]
    assert offload.gather(futures, timeout=60) == [2 * n for n in range(200)]
    assert jobs.unfinished(60) == 0
    assert service.broken > 3
    for workers in service.workers:
        assert set(workers.made.values()) <= {1}


def test_what_waits_to_be_sent_goes_together(use: Callable[[Restarted], Jobs]) -> None:
    begun = threading.Event()
    service = Restarted(lambda method, number, place: (method == "POST" and not begun.wait(60)) and False)
    jobs = use(service)
    futures = [double.submit(n) for n in range(100)]
    begun.set()
    assert offload.gather(futures, timeout=60) == [2 * n for n in range(100)]
    assert jobs._number <= 2


def test_code_of_the_user_that_fails_as_it_shows_a_warning_holds_up_no_other_call(
    use: Callable[[Restarted], Jobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    def show(*told: object, **more: object) -> None:
        raise RuntimeError("no log")

    service = Restarted(lambda *seen: False)
    use(service)
    service.workers[0].unrecorded = "the disk is full"
    monkeypatch.setattr("offload.jobs.calls.client.warn_at", show)
    with pytest.raises(RuntimeError, match="no log"):
        double.submit(1).result(60)
    assert double.submit(2).result(60) == 4


def test_a_parcel_of_a_basket_that_nobody_knows_is_refused(use: Callable[[Restarted], Jobs]) -> None:
    service = Restarted(lambda *seen: False)
    use(service)
    with pytest.raises(BasketGoneError):
        service.call("POST", "/v1/calls", chunks(Parcel("x", 1, [], [])))
    service.call("POST", "/v1/calls", chunks(Parcel("x", 0, [], [])))
    service.call("POST", "/v1/calls", chunks(Parcel("x", 1, [], [])))
