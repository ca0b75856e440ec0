"""The job service itself: what it keeps, and its HTTP routes."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from offload.engines.base import Engine
from offload.engines.batching import Batcher
from offload.errors import BasketGoneError
from offload.http.auth import Admission
from offload.jobs.calls.protocol import Delivery, Parcel, SentCall, Submission, chunks, dump, load
from offload.jobs.commands import overview
from offload.jobs.commands.routes import CommandRoutes
from offload.jobs.commands.service import CommandService
from offload.registry.session import Session
from offload.storage.http.server.middleware import Guard, unnamed
from offload.storage.records import Entry
from offload.tasks.call import Call
from offload.tasks.futures import Future
from offload.transport.exceptions import CarriedError, Raised
from offload.transport.large_arguments import LARGE
from offload.util.memory import room
from offload.util.resources import resources_text

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LARGEST = 2**31
LITTLE = 64 * 1024  # bytes that are pickled and unpickled in less time than another thread takes to begin
PART = 256 * 1024
FEW = 100
LONGEST_WAIT, EXCHANGE_SECONDS = 60.0, 60.0
REMEMBERED = 600.0  # seconds for which an error of the service's own is told
ABANDONED = 3600.0  # seconds after which a basket that nobody asks for is dropped; what is in it stays recorded


class ReceivedCall(Call):
    """A call as the service has it: it is only passed on."""

    def __init__(self, sent: SentCall, submission: Submission) -> None:
        identified = sent.transformation, sent.record, list[tuple[str, str]](), frozenset[str]()
        super().__init__(submission.label, submission.function.checksum, identified, [], (), {}, submission.scratch)
        self._sent = sent

    def packed(self, files_are_sent: bool = False) -> Any:
        """Return the arguments as they came."""
        return self._sent.arguments

    def changed_file(self) -> str | None:
        """Return None: the worker has looked at its files."""
        return None

    def entry(self, result: str, started: float, seconds: float, where: dict[str, object], parts: str) -> Entry:
        """Return what the database is to keep, with the client's own details."""
        status = "scratch" if self.scratch else "complete"
        return Entry(
            self.transformation, "python", self.label, self.function, self._sent.record, result, status,
            started, seconds, self._sent.details,
        )  # fmt: skip


class ReceivedFuture(Future[bytes | memoryview]):
    """A future whose result, or what was raised instead, is left as bytes: only the client can decode them."""

    raised: Raised | None = None

    def set_buffer(self, data: bytes | memoryview, recalled: bool) -> None:
        """Keep the buffer."""
        self.recalled = recalled
        self.set_result(data)

    def set_raised(self, raised: Raised) -> None:
        """Keep what was raised."""
        self.raised = raised
        self.set_exception(CarriedError(raised))


class Basket:
    """What has ended for one client, kept until the client says that it has it.

    Attributes
    ----------
    deliveries : list of Delivery
        In the order in which the calls ended.
    first : int
        The number of the first of them; they are counted from 0.
    under_way : dict
        The futures of the calls that have not ended, by their transformations.
    arrived : deque
        What other threads have put in, and the loop has not yet looked at.
    taking : tuple of (int, asyncio.Task) or None
        The number of the last parcel, and what takes it in.
    """

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.first = 0
        self.expected = 0
        self.under_way: dict[str, list[ReceivedFuture]] = {}
        self.filled = asyncio.Event()
        self.asked = time.monotonic()
        self.arrived: deque[Delivery | ReceivedFuture] = deque()
        self.taking: tuple[int, asyncio.Task[None]] | None = None
        self._is_told = False

    def put(self, one: Delivery | ReceivedFuture, loop: asyncio.AbstractEventLoop) -> None:
        """Put in what has ended, from any thread; many that come at once wake the loop once."""
        self.arrived.append(one)
        if not self._is_told:
            self._is_told = True
            loop.call_soon_threadsafe(self._sort)

    def _sort(self) -> None:
        self._is_told = False  # what comes from now on may be seen, or tells again
        while self.arrived:
            one = self.arrived.popleft()
            if isinstance(one, Delivery):
                _put(self, one)
            else:
                _ended(self, one)


class JobService:
    """Runs what clients submit.

    Parameters
    ----------
    session : Session
        Where results are looked up and recorded.
    start : callable
        Starts the engine.
    commands : CommandService, optional
        Runs commands beside the calls.
    """

    def __init__(self, session: Session, start: Callable[[], Engine], commands: CommandService | None = None) -> None:
        self._session = session
        self._batcher = Batcher(start)
        self._baskets: dict[str, Basket] = {}
        self._asking = 0
        self._busy = time.monotonic()
        self.commands = commands
        self.guard: Guard | None = None

    async def submit(self, request: web.Request) -> web.Response:
        """Take in a parcel: calls, whose results will be in the client's basket, and calls that it leaves."""
        body = await _body(request)
        parcel: Parcel = load(body) if len(body) < LITTLE else await asyncio.to_thread(load, body)
        del body
        basket = self._baskets.get(parcel.basket)
        if basket is None:
            if parcel.number:
                raise _gone()
            basket = self._baskets[parcel.basket] = Basket()
        basket.asked = time.monotonic()
        if basket.taking is None or basket.taking[0] < parcel.number:  # else it has come before
            basket.taking = parcel.number, asyncio.create_task(self._take_in(parcel, basket))
        await asyncio.shield(basket.taking[1])
        self._drop_abandoned()
        return web.Response(body=dump(None))

    async def _take_in(self, parcel: Parcel, basket: Basket) -> None:
        calls = parcel.calls
        basket.expected += len(calls)
        for left in parcel.leaves:
            for transformation in left.calls:
                for future in basket.under_way.pop(transformation, ()):
                    future.cancel(running=left.running)
        if calls:
            await asyncio.to_thread(self._begin, parcel, basket, asyncio.get_running_loop())

    def _begin(self, parcel: Parcel, basket: Basket, loop: asyncio.AbstractEventLoop) -> None:
        calls = parcel.calls
        # Between the client's look-up and now, another client's run may have ended.
        found = self._session.recall([call.transformation for call in calls])
        known = dict(zip((call.transformation for call in calls), found, strict=True))
        for submission in parcel.submissions:
            missing: list[tuple[Call, Future[Any]]] = []
            for sent in submission.calls:
                if (data := known[sent.transformation]) is not None:
                    basket.put(Delivery(sent.transformation, data, None), loop)
                    continue
                future = ReceivedFuture()
                future.transformation = sent.transformation
                basket.under_way.setdefault(sent.transformation, []).append(future)
                future.add_done_callback(lambda done: basket.put(done, loop))  # type: ignore[arg-type]
                missing.append((ReceivedCall(sent, submission), future))
            if missing:
                self._batcher.add(self._session, submission.function, missing)

    async def exchange(self, request: web.Request) -> web.Response:
        """Exchange something with a process on the machine of a worker."""
        asked = load(await request.read())
        exchanged = asyncio.to_thread(self._batcher.exchange, asked)
        try:
            told = await asyncio.wait_for(exchanged, EXCHANGE_SECONDS)
        except TimeoutError:
            told = f"the worker on that machine has not answered for {EXCHANGE_SECONDS:g} s"
        return web.Response(body=dump(told))

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """Give what is in a basket, as soon as there is anything, or nothing after some seconds.

        The client says how many deliveries it had before; only these are dropped, so a lost answer is given again.
        """
        basket = self._baskets.get(request.match_info["basket"])
        if basket is None:
            raise _gone()
        basket.asked = time.monotonic()
        had = int(request.query.get("had", "0"))
        del basket.deliveries[: max(0, had - basket.first)]
        basket.first = max(basket.first, had)
        if not basket.deliveries:
            basket.filled.clear()
        seconds = min(float(request.query.get("seconds", "20")), LONGEST_WAIT)
        try:
            await asyncio.wait_for(basket.filled.wait(), seconds)
        except TimeoutError:
            return web.Response(body=dump((basket.first, [])))
        told = basket.first, list(basket.deliveries)
        size = sum(len(delivery.data or b"") for delivery in told[1])
        little = size < LITTLE and len(told[1]) < FEW
        return await _answer(request, chunks(told) if little else await asyncio.to_thread(chunks, told))

    async def status(self, request: web.Request) -> web.Response:
        """Tell how much is under way, as JSON.

        ``commands``: how many are ``waiting`` and ``running``; ``adopted``: the worker of each command that Dask does
        not know of; ``needed``: how many commands wait, by the resources that they need; ``calls``: how many of each
        label; ``demand``: by the resources that calls need, how many, and how
        many seconds they may take; ``under_way``: all of them; ``clients``: who have given calls, or wait for
        commands; ``trouble``: what went wrong in here of late; ``idle_seconds``: since anything was under way,
        or asked for but this.
        """
        calls, demand = self._batcher.load()
        counts, waiting, adopted, needed = {"waiting": 0, "running": 0}, set[str](), list[str](), dict[str, int]()
        if self.commands is not None:
            jobs = self.commands.jobs.values()
            adopted, needed = overview.adopted(jobs), overview.needed(jobs)
            counts, waiting = overview.counts(jobs), overview.clients(jobs)
        under_way = sum(calls.values()) + sum(counts.values())
        if under_way or self._asking:
            self._busy = time.monotonic()
        return web.json_response(
            {
                "commands": counts,
                "adopted": adopted,
                "needed": needed,
                "calls": calls,
                "demand": {resources_text(needed): how_much for needed, how_much in demand.items()},
                "under_way": under_way,
                "clients": len(self._baskets) + len(waiting),
                "trouble": self._trouble(),
                "idle_seconds": time.monotonic() - self._busy,
            }
        )

    def _trouble(self) -> str | None:
        trouble = self.guard.trouble if self.guard is not None else None
        return trouble[1] if trouble is not None and time.time() - trouble[0] < REMEMBERED else None

    @web.middleware
    async def noticed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Notice what is asked for, but for how things are."""
        if request.path == "/v1/status":
            return await handler(request)
        self._asking += 1
        try:
            return await handler(request)
        finally:
            self._asking -= 1
            self._busy = time.monotonic()

    def _drop_abandoned(self) -> None:
        limit = time.monotonic() - ABANDONED
        self._baskets = {n: b for n, b in self._baskets.items() if b.asked > limit or b.expected}


def _gone() -> BasketGoneError:
    return BasketGoneError("there is no such basket: the job service has been started anew", "submit again")


async def _body(request: web.Request) -> bytes | memoryview:
    """Return the body of a request; a large one as it has come into memory of its own."""
    size = request.content_length or 0
    if size < LARGE:
        return await request.read()
    if size > LARGEST:
        raise web.HTTPRequestEntityTooLarge(LARGEST, size)
    body, had = room(size), 0
    while data := await request.content.readany():
        body[had : had + len(data)] = data
        had += len(data)
    return body


async def _answer(request: web.Request, body: Sequence[bytes | memoryview]) -> web.StreamResponse:
    """Answer with chunks. Of large ones, the connection is given a part after the other: it would copy all of them."""
    size = sum(map(len, body))
    if size < LARGE:
        return web.Response(body=b"".join(body))
    response = web.StreamResponse()
    response.content_length = size
    await response.prepare(request)
    for chunk in body:
        for start in range(0, len(chunk), PART):
            await response.write(memoryview(chunk)[start : start + PART])
    await response.write_eof()
    return response


def _ended(basket: Basket, future: Any) -> None:
    futures = basket.under_way.get(future.transformation or "", [])
    if future in futures:
        futures.remove(future)
        if not futures:
            del basket.under_way[future.transformation or ""]
    if future.cancelled():  # as the client has asked for
        basket.expected -= 1
    else:
        _put(basket, _delivery(future))


def _put(basket: Basket, delivery: Delivery) -> None:
    basket.deliveries.append(delivery)
    basket.expected -= 1
    basket.filled.set()


def _delivery(done: Any) -> Delivery:
    error, raised = done.exception(), done.raised
    if error is not None and raised is None:
        raised = Raised(error)
    data = None if error is not None else done.result()
    return Delivery(done.transformation or "", data, raised, done.effects, done.unrecorded)


def application(service: JobService, admission: Admission) -> web.Application:
    """Return the application that serves jobs; every request has to be admitted."""
    guard = Guard(admission, "job service")
    service.guard = guard
    app = web.Application(middlewares=[guard.middleware, service.noticed], client_max_size=LARGEST)
    app.on_response_prepare.append(unnamed)
    app.add_routes(
        [
            web.post("/v1/calls", service.submit),
            web.post("/v1/exchanges", service.exchange),
            web.get("/v1/baskets/{basket}", service.fetch),
            web.get("/v1/status", service.status),
        ]
    )
    if service.commands is not None:
        CommandRoutes(service.commands).add_to(app)
    return app
