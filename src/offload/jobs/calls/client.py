"""Giving calls to a job service, with the same interface as giving them to workers of one's own."""

from __future__ import annotations

import functools
import secrets
import threading
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from offload.effects.warnings import tell_once, warn_at
from offload.engines.dispatcher import Dispatcher
from offload.engines.errands import Errand, GoneError, Told
from offload.errors import BasketGoneError, EncodeError, NotRecordedWarning, OffloadError, StorageError
from offload.http.client import Client
from offload.jobs.calls.making import Make, Making, not_made
from offload.jobs.calls.protocol import Delivery, Leave, Parcel, SentCall, Submission, chunks, dump, load
from offload.jobs.calls.wait_reasons import Watch, is_awaited
from offload.notices import counted, tell, users_level
from offload.registry.session import Session
from offload.snapshots.upload import snapshot
from offload.storage.retrying import Patience
from offload.tasks.call import Call, where
from offload.tasks.futures import Future
from offload.tasks.own_function import OwnFunction
from offload.transport import files as staged
from offload.transport.environment_error import OtherEnvironmentError
from offload.transport.function import ShippedFunction, Ways
from offload.transport.python import Python

CALLS_PER_REQUEST, BYTES_PER_REQUEST = 1000, 64 * 1024 * 1024
POLL_SECONDS, EXCHANGE_SECONDS = 20.0, 90.0
FIRST_SECONDS = 0.5
"""For which the service waits for something to tell the first time: a later answer would look as if it were away."""

END_SECONDS, LEAVE_SECONDS = 1.0, 5.0

Connect = Callable[[], Client]
Why = Callable[[int], str]


class Jobs(Dispatcher):
    """A client of a job service.

    Parameters
    ----------
    connect : callable
        Gives a client of where the service is now; called again when it has gone away.
    patience : Patience
        How it is waited for when it is away.
    there : Session, optional
        The storage that the workers have, where it is not that of this machine: files are sent there.
    why : callable, optional
        Gives what so many calls wait for, for who waits for them; "" where they run.
    make : callable, optional
        Makes the environment of this process where workers lack it.
    """

    def __init__(
        self,
        connect: Connect,
        patience: Patience,
        there: Session | None = None,
        why: Why = lambda number: "",
        make: Make = not_made,
    ) -> None:
        self._connect = connect
        self._patience = patience
        self._there = there
        self._own = threading.local()  # each thread has a connection of its own
        self._basket, self._number = secrets.token_hex(8), 0  # the next parcel's
        self._is_known = False  # whether the service knows this basket
        self._waiting: dict[str, tuple[Submission, SentCall, list[Future[Any]]]] = {}
        self._pending: dict[str, None] = {}  # those that wait and are to be sent, in that order
        self._leaving: dict[str, bool] = {}  # those that the service is not to make, and whether that ends them
        self._held: set[str] = set()  # those that wait for an environment
        self._under_way = 0  # how much is being sent
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._told: set[str] = set()
        self._places: dict[str, tuple[str, int, str] | None] = {}  # which lines have submitted calls, by their label
        self._watch = Watch(why, tell)
        self._making = Making(make, self._made, self._not_made, tell)

    def add(self, session: Session, function: ShippedFunction, calls: list[tuple[Call, Future[Any]]]) -> None:
        """Take on calls of one function. The same call, already on its way, is not sent twice."""
        place, parts = where(), function.explain(self._there or session)
        plain = ShippedFunction(
            function.checksum, function.payload, function.main, function.environment, function.watched
        )
        plain.resources, plain.limits = function.resources, function.limits
        plain.python, plain.program = self._known(function.python), function.program
        reached = function.reached if isinstance(function, OwnFunction) else ()
        plain.files, plain.seen = staged.divided(reached, self._there is not None)
        if self._there is not None:
            staged.send([*reached, *(file for call, _ in calls for file in call.files)], self._there.store)
        sent = []
        for call, future in calls:
            try:
                arguments = call.packed(files_are_sent=self._there is not None)
            except EncodeError as exc:
                future.set_exception(exc)
                continue
            sent.append((SentCall(call.transformation, call.record, call.details(place, parts), arguments), future))
        ways = (plain.payload, *(staged.without_files(one.arguments) for one, _ in sent))
        if any(one.sources for one in ways if isinstance(one, Ways)):
            store = self._there or session
            plain.snapshot = snapshot(store.home.key, store.store, tells=self._there is not None)
        label, scratch = calls[0][0].label, calls[0][0].scratch
        with self._idle:
            self._places[label] = function.place
            submission = Submission(plain, label, scratch, [])
            for one, future in sent:
                future.on_cancel = functools.partial(self._cancelled, one.transformation)
                known = self._waiting.get(one.transformation)
                if known is not None:
                    known[2].append(future)
                    continue
                self._waiting[one.transformation] = submission, one, [future]
                self._pending[one.transformation] = None
                self._watch.moved()
            self._idle.notify_all()
            if not self._threads:
                for target in (self._send, self._receive, self._tell_why):
                    thread = threading.Thread(target=target, name=f"offload-jobs-{target.__name__}", daemon=True)
                    self._threads.append(thread)
                    thread.start()
        for one, future in sent:
            if future.cancelled():  # before it could be known that this would have to be told
                self._cancelled(one.transformation, True)

    def _cancelled(self, transformation: str, running: bool) -> None:
        """Take note that a future has been cancelled; where nobody here waits for its call any more, tell."""
        with self._idle:
            _, _, futures = self._waiting.get(transformation, (None, None, []))
            if futures and all(future.cancelled() for future in futures):
                del self._waiting[transformation]
                self._leave(transformation, running)

    def _leave(self, transformation: str, running: bool) -> None:
        if transformation in self._pending:  # the service has not got it
            del self._pending[transformation]
        else:
            self._leaving[transformation] = running
        self._idle.notify_all()

    def unfinished(self, timeout: float | None = None) -> int:
        """Wait until the service has got every call, or for `timeout` seconds; return the number that it has not."""
        with self._idle:
            self._idle.wait_for(lambda: not self._unsent(), timeout)
            return self._unsent()

    def _unsent(self) -> int:
        return len(self._pending) + len(self._leaving) + len(self._held) + self._under_way

    def close(self, kill: bool = False) -> None:
        """Ask no more. The service goes on with what it was given, and records it; with `kill`, it ends that."""
        with self._idle:
            for transformation in self._waiting if kill else ():
                self._leave(transformation, running=True)
            self._closed = True
            self._watch.end()
            self._idle.notify_all()
        for thread in self._threads:
            # One that waits for an answer ends with the process.
            thread.join(LEAVE_SECONDS if kill and thread is self._threads[0] else END_SECONDS)

    def give_up(self, error: Exception) -> None:
        """Ask no more, and fail what waits. The threads end when the service does."""
        with self._idle:
            self._closed = True
            self._watch.end()
            self._idle.notify_all()
        self._fail_all(error)

    def _forget_service(self) -> None:
        """Let go of this thread's connection."""
        service, self._own.service = getattr(self._own, "service", None), None
        if service is not None:
            service.close()

    def leave(self) -> None:
        """Let go of everything in a child of this process."""
        self._closed = True
        self._watch.end()

    def _send(self) -> None:
        while (parcel := self._next()) is not None:
            is_known = False
            try:
                self._patiently(functools.partial(_post, path="/v1/calls", body=chunks(parcel)))
            except BasketGoneError:
                self._begin_anew(parcel.basket)
            except Exception as exc:  # whatever it is, nobody must wait for these calls any more
                for call in parcel.calls:
                    self._deliver(Delivery(call.transformation, None, None), exc)
                for left in parcel.leaves:
                    tell(f"{counted(len(left.calls), 'call')} could not be cancelled: {exc}")
            else:
                is_known = True
            with self._idle:
                self._is_known = self._is_known or (is_known and self._basket == parcel.basket)
                self._under_way = 0
                self._idle.notify_all()
        self._forget_service()

    def _next(self) -> Parcel | None:
        """Wait until there is something to be sent, and return it; None at the end."""
        with self._idle:
            self._idle.wait_for(lambda: self._pending or self._leaving or self._closed)
            left: dict[bool, Leave] = {}
            for transformation, running in self._leaving.items():
                left.setdefault(running, Leave(running, [])).calls.append(transformation)
            sent: list[Submission] = []
            self._under_way = len(self._leaving)
            self._leaving.clear()
            last, size = None, 0
            for transformation in [*islice(self._pending, CALLS_PER_REQUEST)]:
                submission, call, _ = self._waiting[transformation]
                size += len(call.arguments)
                if last is not None and size > BYTES_PER_REQUEST:
                    break
                if submission is not last:
                    last = submission
                    sent.append(Submission(submission.function, submission.label, submission.scratch, []))
                sent[-1].calls.append(call)
                del self._pending[transformation]
                self._under_way += 1
            if not self._under_way:
                return None
            self._number += 1
            return Parcel(self._basket, self._number - 1, [*left.values()], sent)

    def _begin_anew(self, gone: str) -> None:
        """Send all that waits, into another basket: the service that knew the one that is gone was started again."""
        with self._idle:
            if self._basket != gone:
                return
            self._basket, self._number, self._is_known = secrets.token_hex(8), 0, False
            self._leaving.clear()
            self._pending = dict.fromkeys(one for one in self._waiting if one not in self._held)
            self._idle.notify_all()

    def _receive(self) -> None:
        basket, had = "", 0
        while not self._closed:
            with self._idle:
                # Nothing to ask for: the next call to `add` begins again.
                # A basket that the service does not know yet would be taken for a lost one.
                self._idle.wait_for(lambda: (self._waiting and self._is_known) or self._closed, POLL_SECONDS)
                if self._closed or not (self._waiting and self._is_known):
                    continue
                if basket != self._basket:
                    basket, had = self._basket, 0
            seconds = POLL_SECONDS if self._patience.heard else FIRST_SECONDS
            try:
                answer = self._patiently(functools.partial(_fetch, basket=basket, had=had, seconds=seconds))
                first, deliveries = load(answer)
            except BasketGoneError:
                self._begin_anew(basket)
                continue
            except Exception as exc:  # as above
                self._fail_all(exc)
                continue
            for delivery in deliveries[max(0, had - first) :]:
                self._deliver(delivery)
            had = max(had, first + len(deliveries))
        self._forget_service()

    def _patiently(self, ask: Callable[[Client], Any]) -> Any:
        """Ask the service; where it is away, look for it again for a while."""

        def once() -> Any:
            if getattr(self._own, "service", None) is None:
                self._own.service = self._connect()
            try:
                return ask(self._own.service)
            except StorageError:
                self._forget_service()  # one that was started again may be somewhere else
                raise

        return self._patience.ask(once, lambda: self._closed)

    def _tell_why(self) -> None:
        self._watch.run(self._awaited)

    def _awaited(self) -> int:
        """Wait until there are calls, or for a while, and return how many; 0 while nobody waits for any of them."""
        with self._idle:
            self._idle.wait_for(lambda: self._waiting or self._closed, POLL_SECONDS)
            futures = [future for _, _, some in self._waiting.values() for future in some]
            number = len(self._waiting)
        return number if any(map(is_awaited, futures)) else 0

    def _known(self, python: Python | None) -> Python | None:
        """Return the Python of this process, with the names of the environment that was made like it."""
        names = self._making.names
        return python._replace(made=names) if python is not None and names else python

    def _made(self, calls: Sequence[str]) -> None:
        """Send calls again: their environment is there now."""
        with self._idle:
            for call in calls:
                if call in self._waiting:
                    function = self._waiting[call][0].function
                    function.python = self._known(function.python)
                    self._pending[call] = None
            self._held.difference_update(calls)
            self._idle.notify_all()

    def _not_made(self, calls: Sequence[str], error: Exception) -> None:
        """Fail calls: their environment cannot be made."""
        for call in calls:
            self._deliver(Delivery(call, None, None), error)

    def _deliver(self, delivery: Delivery, error: BaseException | None = None) -> None:
        self._watch.moved()
        if delivery.error is not None:
            error = delivery.error.rebuilt()
            if isinstance(error, OtherEnvironmentError) and delivery.transformation in self._waiting:
                self._held.add(delivery.transformation)
                if (error := self._making.takes(delivery.transformation, error)) is None:
                    return
        with self._idle:
            submission, _, futures = self._waiting.pop(delivery.transformation, (None, None, []))
            self._pending.pop(delivery.transformation, None)
            self._held.discard(delivery.transformation)
            self._idle.notify_all()
        place = self._places.get(submission.label) if submission is not None else None
        try:
            if delivery.effects is not None and submission is not None:
                tell_once(submission.label, delivery.effects, place)
            if delivery.unrecorded is not None and delivery.unrecorded not in self._told:
                self._told.add(delivery.unrecorded)
                warn_at(NotRecordedWarning(delivery.unrecorded), users_level(), place)
        except Exception as exc:  # where the user has made errors of warnings, or shows them by code that fails
            error = exc
        for future in futures:
            if not future.set_running_or_notify_cancel():
                continue
            future.effects, future.unrecorded = delivery.effects, delivery.unrecorded
            if error is not None or delivery.data is None:
                future.set_exception(error or OffloadError("the job service gave no result"))
            else:
                future.set_buffer(delivery.data, recalled=False)

    def _fail_all(self, error: Exception) -> None:
        with self._lock:
            waiting = list(self._waiting)
        for transformation in waiting:
            self._deliver(Delivery(transformation, None, None), error)


def exchanging(connect: Connect) -> Callable[[Errand], Told]:
    """Return what brings exchanges with processes to a worker, through the job service of its deployment."""
    service = connect()

    def ask(errand: Errand) -> Told:
        try:
            answer: Told | str = load(service.call("POST", "/v1/exchanges", dump(errand), idle=EXCHANGE_SECONDS).body)
        except StorageError as exc:  # it may be back soon, and whoever sends it calls waits for that
            raise GoneError(exc.message, exc.hint) from exc
        if isinstance(answer, str):
            raise GoneError(answer)
        return answer

    return ask


def _fetch(service: Client, basket: str, had: int, seconds: float) -> bytes | memoryview:
    path = f"/v1/baskets/{basket}?had={had}&seconds={seconds:g}"
    with service.exchange("GET", path, idle=2 * POLL_SECONDS) as answer:
        return answer.whole()


def _post(service: Client, path: str, body: list[bytes | memoryview]) -> object:
    return service.call("POST", path, body)
