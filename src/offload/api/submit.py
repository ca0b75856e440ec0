"""From calls to futures: what is recorded is recalled, in one look-up, and the rest goes to the workers in batches."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

from offload.api.dependents import all_begun, ended_by_interrupt, futures_in, may_hold_futures, resolved, when_done
from offload.api.identified import IdentifiedTask
from offload.effects.warnings import tell_reached
from offload.engines.base import Engine, InlineEngine
from offload.engines.batching import Batcher
from offload.engines.dispatcher import Dispatcher
from offload.errors import DecodeError, IdentityError, OutputError, UsageError
from offload.notices import counted, messages, users_level
from offload.registry.active import Choice, innermost
from offload.registry.deployments import Place, Registry
from offload.registry.session import Session, current, session_there
from offload.registry.switch import is_off
from offload.tasks.execute import execute
from offload.tasks.futures import Future
from offload.tasks.inside import inside
from offload.tasks.outputs import Arrival, running
from offload.tasks.own_function import OwnFunction
from offload.tasks.results import from_buffer
from offload.transport.importing import is_importing
from offload.transport.python import this_python

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.http.client import Client
    from offload.transport.environment_error import Machine

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

NOTE_AFTER = 2.0
ATTEMPTS = 5
MANY = 1000

_lock = threading.Lock()
_dispatchers: dict[str | Choice | None, Dispatcher] = {}
_registered = False


def submit(task: IdentifiedTask[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
    """Begin one call; see :meth:`offload.api.task.Task.submit`."""
    return submit_many(task, [(args, kwargs)])[0]


def submit_many(task: IdentifiedTask[..., Any], rows: Sequence[Arguments]) -> list[Future[Any]]:
    """Begin many calls of one function.

    Returns
    -------
    list of Future
        In the order of the rows.

    Raises
    ------
    TypeError, EncodeError, IdentityError
        If a call cannot be identified; none is begun then. With futures among its arguments that shows later, in its
        own future.
    """
    if is_off():
        return [_done_at_once(task, args, kwargs) for args, kwargs in rows]
    futures: list[Future[Any]] = [Future() for _ in rows]
    ready = []
    kinds = {type(a) for args, kwargs in rows for a in (*args, *kwargs.values())}
    simple = not any(may_hold_futures(kind) for kind in kinds)
    for future, (args, kwargs) in zip(futures, rows, strict=True):
        waiting = [] if simple else futures_in((args, kwargs))
        if waiting:
            when_done(waiting, functools.partial(_resume, task, future, args, kwargs))
        else:
            ready.append((future, args, kwargs))
    with _collector_at_rest(len(rows)):
        _start(task, ready)
    return futures


def _done_at_once(task: IdentifiedTask[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
    """Make a call here and now, of which nothing is recorded."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    future.recalled = False
    try:
        future.set_result(execute(task.function, resolved(args), resolved(kwargs)))
    except Exception as exc:
        future.set_exception(exc)
    return future


@contextlib.contextmanager
def _collector_at_rest(count: int) -> Iterator[None]:
    """Spare many calls the garbage collector: it would look at their new objects, none of them garbage, many times."""
    if count < MANY or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return ""


def _start(
    task: IdentifiedTask[..., Any], ready: Sequence[tuple[Future[Any], tuple[Any, ...], dict[str, Any]]]
) -> None:
    if task.elsewhere(ready):
        return
    session = current()
    rows = [(args, kwargs) for _, args, kwargs in ready]
    calls, graph = task.identify_many(rows), task.graph()
    for _ in range(ATTEMPTS):
        if not calls or calls[0].function == task.checksum_of(graph):
            break
        calls, graph = task.identify_many(rows), task.graph()  # another thread has changed what the function reaches
    else:
        raise IdentityError(f"what {task.label} reaches is changed all the time by another thread")
    missing = []
    within, directory = running(), _directory()
    arrival = Arrival(lambda: [file for file, _ in task.reached()], within, directory)
    for call, (future, _, _), data in zip(
        calls, ready, session.recall([call.transformation for call in calls]), strict=True
    ):
        future.transformation = call.transformation
        given = functools.partial(task.inputs_of, call)
        future.arrival = Arrival(given, within, directory) if call.files else arrival
        if data is None:
            missing.append((call, future))
        elif not future.cancelled():
            try:
                value = from_buffer(data, call.transformation, future.arrival)
            except DecodeError as exc:
                session.give_up(call.transformation, task.label, exc)
                missing.append((call, future))
            except OutputError as exc:
                future.recalled = True
                future.set_exception(exc)
            else:
                future.recalled = True
                future.set_result(value)
    if missing:
        if task.watched:
            inputs = any(task.inputs_of(call) for call, _ in missing)
            values = (value for call, _ in missing for _, value in call.bound)
            tell_reached(task.label, graph, users_level(), inputs=inputs, values=values)
        if inside():
            # A call made by a call: there is no other worker to wait for.
            nested = Batcher(InlineEngine, here=True)
            nested.add(
                session, OwnFunction(graph, task.payload(), watched=task.watched, reached=task.reached()), missing
            )
            nested.run()
        else:
            chosen = dispatcher(session)
            for modules in {call.modules for call, _ in missing}:
                function = OwnFunction(graph, task.payload(), modules, task.watched, task.reached())
                function.resources, function.limits, function.python = task.resources, task.limits, this_python()
                chosen.add(session, function, [one for one in missing if one[0].modules == modules])
            if isinstance(chosen, Batcher):
                # Its thread imports it, too; if Python came to its end first, the import would be refused there.
                with contextlib.suppress(ImportError, ValueError):  # the futures will tell
                    importlib.import_module("distributed")


def _resume(task: IdentifiedTask[..., Any], future: Future[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Begin a call whose arguments have arrived; a failed argument fails the call."""
    if future.cancelled():
        return
    try:
        elsewhere = task.is_elsewhere()
        _start(task, [(future, resolved(args, elsewhere), resolved(kwargs, elsewhere))])
    except (Exception, CancelledError) as exc:
        if future.set_running_or_notify_cancel():
            future.set_exception(exc)


def dispatcher(session: Session) -> Dispatcher:
    """Return where this process's calls go now: the active deployment, or else a cluster of its own.

    Raises
    ------
    UsageError
        For a module that is being imported on a worker: each worker would begin that work.
    """
    global _registered
    if is_importing():
        raise UsageError("a module that workers import begins calls", 'begin them below if __name__ == "__main__"')
    choice = innermost()
    place = Registry(session.home.path).active()
    key = choice if choice is not None and choice.here else place.path if place is not None else None
    with _lock:
        if not _registered:
            # Before the executors of this process end, on which Dask's client stands: `atexit` would be too late. They
            # end in a function that this import registers; what is registered last runs first.
            importlib.import_module("concurrent.futures.thread")

            threading._register_atexit(shutdown)  # type: ignore[attr-defined]
            os.register_at_fork(after_in_child=_leave)
            _registered = True
        found = _dispatchers.get(key)
        if found is None:
            found = _dispatchers[key] = _new_dispatcher(key, place)
        return found


def _new_dispatcher(key: str | Choice | None, place: Place | None) -> Dispatcher:
    if isinstance(key, Choice):
        return Batcher(key.engine)
    return Batcher(_start_cluster) if place is None else _jobs_of(place)


def _start_cluster() -> Engine:
    from offload.engines.local_cluster import LocalCluster
    from offload.tasks.progress import starting

    with starting():
        return LocalCluster()


def _jobs_of(place: Place) -> Dispatcher:
    from offload.jobs.calls.client import Jobs
    from offload.jobs.waits import reason
    from offload.registry.connect import connect
    from offload.registry.waiting import patience_for

    there, why, to = session_there(place), functools.partial(reason, place), functools.partial(connect, place)
    return Jobs(to, patience_for(place, "job service"), there, why, functools.partial(_made, to))


def _made(to: Callable[[], Client], machine: Machine, say: Callable[[str], None]) -> tuple[str, ...]:
    from offload.environments.for_calls import make
    from offload.jobs.calls.client import exchanging

    return make(exchanging(to), machine, say)


def _leave() -> None:
    """In a child of this process: the dispatchers, their threads and their clusters are the parent's."""
    global _dispatchers, _lock
    left, _dispatchers, _lock = _dispatchers, {}, threading.Lock()
    for each in left.values():
        each.leave()


def give_up(key: str | Choice | None, error: Exception) -> None:
    """End the dispatcher of a deployment that goes away; the calls that it has not done fail with the error."""
    with _lock:
        found = _dispatchers.pop(key, None)
    if found is not None:
        found.give_up(error)


def shutdown() -> None:
    """Wait for what needs this process, saying so when it takes long, and end it. The next call starts another.

    There is no deadline: the calls may take days, and who wants an end to it presses Ctrl-C. After a Ctrl-C that has
    ended the program, nothing is waited for.
    """
    global _dispatchers
    interrupted = ended_by_interrupt()
    if not interrupted:
        interrupted = not all_begun()
    with _lock:
        ending, _dispatchers = _dispatchers, {}
    for each in ending.values():
        try:
            left = 0 if interrupted else each.unfinished(NOTE_AFTER)
            if left:
                messages().write(
                    f"offload: waiting for {counted(left, 'call')} to finish and be recorded (Ctrl-C ends them)\n"
                )
                each.unfinished()
        except KeyboardInterrupt:
            interrupted = True
        each.close(kill=interrupted)
