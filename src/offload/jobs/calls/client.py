"""Giving calls to a job service, with the same interface as giving them to workers of one's own."""

from __future__ import annotations

import functools
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import Any

from offload.effects.warnings import tell_once, warn_at
from offload.engines.dispatcher import Dispatcher
from offload.engines.errands import Errand, GoneError, Told
from offload.errors import BasketGoneError, EncodeError, NotRecordedWarning, OffloadError, StorageError
from offload.http.client import Client
from offload.jobs.calls.making import Make, Making, not_made
from offload.jobs.calls.protocol import Delivery, Leave, SentCall, Submission, chunks, dump, load
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

PAUSE, END_SECONDS, LEAVE_SECONDS = 0.5, 1.0, 5.0

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
        self._basket = secrets.token_hex(8)
        self._waiting: dict[str, tuple[Submission, SentCall, list[Future[Any]]]] = {}
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._outgoing: SimpleQueue[Submission | Leave | None] = SimpleQueue()
        self._leaving: Leave | None = None  # the last in the queue, which more can be added to
        self._unsent = 0
        self._is_known = False  # whether the service has taken on anything of this basket
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
        new: list[SentCall] = []
        with self._lock:
            self._places[label] = function.place
            submission = Submission(self._basket, plain, label, scratch, [])
            self._leaving = None
            for one, future in sent:
                future.on_cancel = functools.partial(self._cancelled, one.transformation)
                known = self._waiting.get(one.transformation)
                if known is not None:
                    known[2].append(future)
                    continue
                self._waiting[one.transformation] = submission, one, [future]
                new.append(one)
            self._unsent += len(new)
            if new:
                self._watch.moved()
            if not self._threads:
                for target in (self._send, self._receive, self._tell_why):
                    thread = threading.Thread(target=target, name=f"offload-jobs-{target.__name__}", daemon=True)
                    self._threads.append(thread)
                    thread.start()
        for part in _parts(new):
            self._outgoing.put(_with_calls(submission, part))
        for one, future in sent:
            if future.cancelled():  # before it could be known that this would have to be told
                self._cancelled(one.transformation, True)

    def _cancelled(self, transformation: str, running: bool) -> None:
        """Take note that a future has been cancelled; where nobody here waits for its call any more, tell."""
        with self._lock:
            _, _, futures = self._waiting.get(transformation, (None, None, []))
            if futures and all(future.cancelled() for future in futures):
                del self._waiting[transformation]
                self._leave(transformation, running)

    def _leave(self, transformation: str, running: bool) -> None:
        if self._leaving is None or self._leaving.running is not running:
            self._leaving = Leave(self._basket, running)
            self._outgoing.put(self._leaving)
        self._leaving.calls.append(transformation)
        self._unsent += 1

    def unfinished(self, timeout: float | None = None) -> int:
        """Wait until the service has got every call, or for `timeout` seconds; return the number that it has not."""
        with self._idle:
            self._idle.wait_for(lambda: not self._unsent, timeout)
            return self._unsent

    def close(self, kill: bool = False) -> None:
        """Ask no more. The service goes on with what it was given, and records it; with `kill`, it ends that."""
        with self._idle:
            for transformation in self._waiting if kill else ():
                self._leave(transformation, running=True)
            self._closed = True
            self._watch.end()
            self._idle.notify_all()
        self._outgoing.put(None)
        for thread in self._threads:
            # One that waits for an answer ends with the process.
            thread.join(LEAVE_SECONDS if kill and thread is self._threads[0] else END_SECONDS)

    def give_up(self, error: Exception) -> None:
        """Ask no more, and fail what waits. The threads end when the service does."""
        with self._idle:
            self._closed = True
            self._watch.end()
            self._idle.notify_all()
        self._outgoing.put(None)
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
        while (message := self._outgoing.get()) is not None:
            with self._lock:
                if self._leaving is message:
                    self._leaving = None
            path = "/v1/calls" if isinstance(message, Submission) else "/v1/calls/leave"
            body = chunks(message)
            try:
                self._patiently(functools.partial(_post, path=path, body=body))
            except Exception as exc:  # whatever it is, nobody must wait for these calls any more
                if isinstance(message, Leave):
                    tell(f"{counted(len(message.calls), 'call')} could not be cancelled: {exc}")
                else:
                    for call in message.calls:
                        self._deliver(Delivery(call.transformation, None, None), exc)
            else:
                if isinstance(message, Submission):
                    self._is_known = True
            with self._idle:
                self._unsent -= len(message.calls)
                self._idle.notify_all()
        self._forget_service()

    def _receive(self) -> None:
        had = 0
        while not self._closed:
            with self._idle:
                # Nothing to ask for: the next call to `add` begins again.
                # A basket that the service does not know yet would be taken for a lost one, and calls made twice.
                self._idle.wait_for(lambda: (self._waiting and self._is_known) or self._closed, POLL_SECONDS)
                if self._closed or not (self._waiting and self._is_known):
                    continue
            seconds = POLL_SECONDS if self._patience.heard else FIRST_SECONDS
            try:
                answer = self._patiently(functools.partial(_fetch, basket=self._basket, had=had, seconds=seconds))
                first, deliveries = load(answer)
            except BasketGoneError:
                had, self._is_known = 0, False
                self._again()
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

    def _again(self) -> None:
        """Send everything that still waits once more: a service that was started again knows nothing of it."""
        time.sleep(PAUSE)  # submissions that are just being sent make the basket known
        with self._lock:
            waiting = list(self._waiting.values())
            self._unsent += len(waiting)
        for submission, call, _ in waiting:
            self._outgoing.put(_with_calls(submission, [call]))

    def _known(self, python: Python | None) -> Python | None:
        """Return the Python of this process, with the names of the environment that was made like it."""
        names = self._making.names
        return python._replace(made=names) if python is not None and names else python

    def _made(self, calls: Sequence[str]) -> None:
        """Send calls again: their environment is there now."""
        with self._lock:
            waiting = [self._waiting[call] for call in calls if call in self._waiting]
            self._unsent += len(waiting)
        for submission, call, _ in waiting:
            submission.function.python = self._known(submission.function.python)
            self._outgoing.put(_with_calls(submission, [call]))
        self._kept(calls, -1)

    def _not_made(self, calls: Sequence[str], error: Exception) -> None:
        """Fail calls: their environment cannot be made."""
        for call in calls:
            self._deliver(Delivery(call, None, None), error)
        self._kept(calls, -1)

    def _kept(self, calls: Sequence[str], sign: int = 1) -> None:
        """Count calls that wait for an environment as calls that the service has not got."""
        with self._idle:
            self._unsent += sign * len(calls)
            self._idle.notify_all()

    def _deliver(self, delivery: Delivery, error: BaseException | None = None) -> None:
        self._watch.moved()
        if delivery.error is not None:
            error = delivery.error.rebuilt()
            if isinstance(error, OtherEnvironmentError) and delivery.transformation in self._waiting:
                self._kept([delivery.transformation])
                if (error := self._making.takes(delivery.transformation, error)) is None:
                    return
                self._kept([delivery.transformation], -1)
        with self._idle:
            submission, _, futures = self._waiting.pop(delivery.transformation, (None, None, []))
            self._idle.notify_all()
        place = self._places.get(submission.label) if submission is not None else None
        try:
            if delivery.effects is not None and submission is not None:
                tell_once(submission.label, delivery.effects, place)
            if delivery.unrecorded is not None and delivery.unrecorded not in self._told:
                self._told.add(delivery.unrecorded)
                warn_at(NotRecordedWarning(delivery.unrecorded), users_level(), place)
        except Warning as exc:  # where the user has made errors of them
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


def _parts(calls: list[SentCall]) -> Iterator[list[SentCall]]:
    """Give calls as they are sent together: what the service takes into its memory at once is not without end."""
    part: list[SentCall] = []
    size = 0
    for call in calls:
        part.append(call)
        size += 0 if isinstance(call.arguments, tuple) else len(call.arguments)
        if len(part) == CALLS_PER_REQUEST or size >= BYTES_PER_REQUEST:
            yield part
            part, size = [], 0
    if part:
        yield part


def _with_calls(submission: Submission, calls: list[SentCall]) -> Submission:
    return Submission(submission.basket, submission.function, submission.label, submission.scratch, calls)
