"""``@offload.task``: a function whose results are computed once and recalled after."""

from __future__ import annotations

import functools
import sys
import time
import warnings
from hashlib import sha256
from types import MethodType

from offload.api.identified import IdentifiedTask
from offload.effects.attribution import runs_calls
from offload.errors import (
    DecodeError,
    EncodeError,
    NotRecordedWarning,
    OffloadError,
    StorageError,
)
from offload.identity.functions.graph import Graph
from offload.identity.libraries.settings import Kept
from offload.identity.values.objects import register
from offload.registry.session import Session, current
from offload.registry.switch import is_off
from offload.tasks.call import Call, explain
from offload.tasks.deferred import Begun
from offload.tasks.outputs import Arrival, Outputs, running
from offload.tasks.results import FROM_COPIES, WITH_CHANGES, and_changes, from_buffer
from offload.tasks.unchanged import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Concatenate, ParamSpec, TypeVar, overload

    from offload.tasks.futures import Future
    from offload.transport.outcome import Outcome

    P = ParamSpec("P")
    Q = ParamSpec("Q")
    R = TypeVar("R", covariant=True)
    T = TypeVar("T")
else:
    from offload.util.typing import P, R, overload

_GENERATORS = 0x20 | 0x200  # CO_GENERATOR, CO_ASYNC_GENERATOR
_COROUTINE = 0x80


class Task(IdentifiedTask[P, R]):
    """A function whose results are recorded.

    Calling it computes in this process, at most once for the same arguments and the same code. :meth:`submit` and
    :meth:`map` compute on the cores of this machine. :func:`offload.task` makes one.
    """

    def __reduce__(self) -> Any:
        # By its name where it has one, as functions are pickled.
        name = getattr(self.function, "__qualname__", "")
        found: Any = sys.modules.get(self.function.__module__ or "")
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is self:
            return name
        return type(self), self.made_of

    @property
    def made_of(self) -> tuple[Any, ...]:
        """What to make a task like this one of."""
        root = None if self.root is self.function else self.root
        effects = "watch" if self.watched else "ignore"
        return self.function, self.scratch, effects, root, self.resources, self.limits

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Task[P, R]: ...
    @overload
    def __get__(
        self: Task[Concatenate[Any, Q], T], instance: object, owner: type | None = None
    ) -> MethodTask[Q, T]: ...
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodTask(self, instance)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the result, recalled or computed; of a coroutine function, a coroutine that does."""
        if is_off():
            return self.function(*args, **kwargs)
        if self._asynchronous:
            return self._awaited(args, kwargs)  # type: ignore[return-value]  # then it is a coroutine
        session = current()
        call = self.identify(args, kwargs)
        value: R
        found, value = self._recall(session, call)
        if found:
            return value
        from offload.tasks.claims import claimed

        with claimed(session, call.transformation, self.label, waits=not call.scratch) as recorded:
            if recorded:
                found, value = self._recall(session, call)
            return value if found else self._compute(session, call)

    def fresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute a call in this process, even where its result is recorded; of a coroutine function, a coroutine.

        A result that differs from the recorded one is returned, noted in the history as irreproducible, and does not
        replace it.
        """
        if is_off():
            return self.function(*args, **kwargs)
        if self._asynchronous:
            return self._awaited(args, kwargs, fresh=True)  # type: ignore[return-value]
        from offload.tasks.claims import claimed

        session = current()
        call = self.identify(args, kwargs)
        with claimed(session, call.transformation, self.label, waits=False):
            return self._compute(session, call)

    def _recall(self, session: Session, call: Call) -> tuple[bool, Any]:
        """Return whether the result of a call is recorded, and the result."""
        (data,) = session.recall((call.transformation,))
        if data is not None and data.startswith(FROM_COPIES):
            session.will_replace(call.transformation)  # should it change nothing here
        elif data is not None:
            try:
                if data.startswith(WITH_CHANGES):
                    return self._with_changes(session, call, data)
                return True, from_buffer(data, call.transformation, self._arrival(call))
            except DecodeError as exc:
                session.give_up(call.transformation, self.label, exc)
        return False, None

    def _with_changes(self, session: Session, call: Call, data: bytes) -> tuple[bool, Any]:
        """Return the result of a call that changes what the function reaches, and change that as the call would."""
        from offload.identity.values.mutations import do_again

        value, changes, after = and_changes(data, call.transformation, self._arrival(call))
        graph = self.graph()
        same = self.checksum_of(graph) == call.function
        if same and do_again(graph, changes, lambda: self.checksum_of(self.graph()), after):
            return True, value
        session.will_replace(call.transformation)
        return False, None

    def _arrival(self, call: Call) -> Arrival:
        return Arrival(functools.partial(self.inputs_of, call), running())

    async def _awaited(self, args: tuple[Any, ...], kwargs: dict[str, Any], fresh: bool = False) -> Any:
        session = current()
        call = self.identify(args, kwargs)
        found, value = (False, None) if fresh else self._recall(session, call)
        if found:
            return value
        from offload.tasks.claims import claimed_async

        waits = not call.scratch and not fresh
        async with claimed_async(session, call.transformation, self.label, waits=waits) as recorded:
            if recorded:
                found, value = self._recall(session, call)
            return value if found else await self._compute_async(session, call)

    async def _compute_async(self, session: Session, call: Call) -> Any:
        with Outputs(checks=True) as made:
            return self._put(made, await self._compute_async_in(session, call, made), call)

    @runs_calls
    async def _compute_async_in(self, session: Session, call: Call, made: Outputs) -> Any:
        from offload.effects.warnings import tell_reached
        from offload.effects.watch import Watch
        from offload.transport.outcome import Outcome

        graph = self.graph()
        call.keep()
        if self.watched:
            values = [value for _, value in call.bound]
            tell_reached(self.label, graph, stacklevel=3, inputs=bool(self.inputs_of(call)), values=values)
        outcome = Outcome(time.time())
        began = time.perf_counter()
        watch = Watch(self.inputs_of(call), ignores=not self.watched)
        watch.listen(graph, [value for _, value in call.bound], call.modules)
        watch.begin_task()
        try:
            result = await self.function(*call.args, **call.kwargs)  # type: ignore[misc]
        finally:
            watch.end_task()
        outcome.effects = watch.all_seen(graph)
        outcome.seconds = time.perf_counter() - began
        outcome.changed = graph.changed()
        self._keep(session, graph, call, outcome, result, made)
        return result

    def _compute(self, session: Session, call: Call) -> R:
        with Outputs(checks=True) as made:
            result: R = self._put(made, self._compute_in(session, call, made), call)
            return result

    def _put(self, made: Outputs, result: Any, call: Call) -> Any:
        if made.folder:
            from offload.tasks.returned_files import files_in

            made.deliver(files_in(result), functools.partial(self.inputs_of, call))
        return result

    def _compute_in(self, session: Session, call: Call, made: Outputs) -> R:
        from offload.effects import generators
        from offload.effects.warnings import tell_reached
        from offload.effects.watch import Watch
        from offload.tasks.execute import execute
        from offload.transport.outcome import Outcome

        graph = self.graph()
        call.keep()
        if self.watched:
            values = [value for _, value in call.bound]
            tell_reached(self.label, graph, stacklevel=4, inputs=bool(self.inputs_of(call)), values=values)
        outcome = Outcome(time.time())
        began = time.perf_counter()
        watch = Watch(self.inputs_of(call), ignores=not self.watched)
        settings = Kept(graph.modules | call.modules)
        seeds = generators.states(graph.names) if self.watched else {}
        watch.listen(graph, [value for _, value in call.bound], call.modules)
        watch.begin()
        run = Run(graph)
        try:
            result: R = execute(self.function, call.args, call.kwargs)
        finally:
            run.end()
            watch.end()
            watch.put_back(settings)
        if seeds:
            generators.tell_set(self.label, seeds, stacklevel=4)
        outcome.effects = watch.all_seen(graph)
        outcome.seconds = time.perf_counter() - began
        if self.checksum_of(graph) != call.function:  # another thread has changed something since it was identified
            outcome.changed = graph.changed() or graph.nodes[0].label
        elif (checksums := run.look(outcome)) is not None:
            without, whole = checksums
            if whole != without:
                self._without_kept[whole] = without
        self._keep(session, graph, call, outcome, result, made)
        return result

    def _keep(
        self, session: Session, graph: Graph, call: Call, outcome: Outcome, result: object, made: Outputs
    ) -> None:
        """Store and record a result; where that fails, say so."""
        from offload.tasks.recording import record
        from offload.tasks.results import to_buffer, with_changes, with_outputs
        from offload.tasks.returned_files import kept_in, returned

        if outcome.effects is not None:
            from offload.effects.warnings import tell

            if outcome.effects.written:
                outcome.effects.gives_back(returned(result))
            tell(self.label, outcome.effects, stacklevel=5)
            if outcome.effects.undeclared:
                return
        if outcome.changed is not None:
            record(session, functools.partial(explain, graph=graph, label=self.label), [(call, outcome)])
            return
        if self.watched and (name := _changed_argument(call)) is not None:
            from offload.effects.warnings import tell_changed

            tell_changed(self.label, name, stacklevel=5)
            return
        try:
            with kept_in(lambda: session.store, made):
                chunks, difference = to_buffer(result, graph)
                chunks = with_outputs(chunks, made.others())
            if difference is not None:
                raise EncodeError(difference, "give its class a __reduce__ that tells all, or use offload.register")
            if outcome.changes is not None:
                chunks = with_changes(chunks, *outcome.changes)
            if call.scratch:
                outcome.checksum = sha256(b"".join(chunks)).hexdigest()
            else:
                outcome.checksum = session.store.put([chunks])[0]
        except (EncodeError, StorageError) as exc:
            warnings.warn(NotRecordedWarning(f"{self.label}: the result is not recorded: {exc}"), stacklevel=5)
        else:
            record(session, functools.partial(explain, graph=graph, label=self.label), [(call, outcome)])
            if not call.scratch:
                from offload.api.other_each_time import tell_other_each_time

                tell_other_each_time(session, self.label, graph)

    def _begin(self, rows: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[Future[Any]]:
        from offload.api.submit import submit_many

        return submit_many(self, rows)


def _changed_argument(call: Call) -> str | None:
    try:
        return call.changed_argument() if call.changed_file() is None else None
    except OffloadError:  # a file is gone, which is told where the call would be recorded
        return None


# What is asked of a function, also to know whether it is one of a coroutine.
_OF_METHODS = {
    *("__annotations__", "__code__", "__defaults__", "__kwdefaults__", "__name__", "__qualname__"),
    *("_is_coroutine_mark",),
}


class MethodTask(Begun[P, R]):
    """A task that was taken from an instance, as methods are."""

    __slots__ = ("__self__", "task")

    def __init__(self, task: Task[..., R], instance: object) -> None:
        self.task = task
        self.__self__ = instance

    def __getattr__(self, name: str) -> Any:
        if name == "__wrapped__":  # so that the signature is that of the method
            return MethodType(self.task.function, self.__self__)
        if name in _OF_METHODS:
            return getattr(self.task, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<offload.task {self.task.label} of a {type(self.__self__).__qualname__}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the result, recalled or computed; the instance is the first argument."""
        return self.task(self.__self__, *args, **kwargs)

    def _begin(self, rows: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[Future[Any]]:
        return self.task._begin([((self.__self__, *args), kwargs) for args, kwargs in rows])

    def fresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute a call even where its result is recorded; see :meth:`Task.fresh`."""
        return self.task.fresh(self.__self__, *args, **kwargs)


# Within a value, a task counts as what it runs does, and not as the name that it is pickled under.
register(
    Task,
    encode=lambda t: [t.function, t.scratch, None if t.root is t.function else t.root],
    decode=lambda state: Task(state[0], state[1], root=state[2]),
    name="offload.Task",
)
