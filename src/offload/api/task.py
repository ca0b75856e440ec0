"""``@offload.task``: a function whose results are computed once and recalled after."""

from __future__ import annotations

import functools
import sys
import time
import warnings
from hashlib import sha256
from types import CodeType, FunctionType, MethodType

from offload.effects.attribution import runs_calls
from offload.errors import (
    DecodeError,
    EncodeError,
    IdentityError,
    NotRecordedWarning,
    OffloadError,
    StorageError,
    UsageError,
)
from offload.identity.calls import Recorder, bind
from offload.identity.functions.graph import Graph
from offload.identity.functions.identify import remember
from offload.identity.ignored import ignored_parameters
from offload.identity.libraries.settings import Kept
from offload.identity.values.objects import register
from offload.registry.session import Session, current
from offload.registry.switch import is_off
from offload.tasks.call import Call, explain
from offload.tasks.deferred import Begun
from offload.tasks.files import noting
from offload.tasks.results import FROM_COPIES, WITH_CHANGES, and_changes, from_buffer
from offload.tasks.unchanged import Run
from offload.transport.decorated import Decorated
from offload.transport.limits import UNLIMITED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Concatenate, ParamSpec, TypeVar, overload

    from offload.api.named.partner import Partner
    from offload.identity.files import File
    from offload.tasks.futures import Future
    from offload.transport.function import Ways
    from offload.transport.limits import Limits
    from offload.transport.outcome import Outcome
    from offload.util.resources import Resources

    P = ParamSpec("P")
    Q = ParamSpec("Q")
    R = TypeVar("R", covariant=True)
    T = TypeVar("T")
else:
    from offload.util.typing import P, R, overload

_GENERATORS = 0x20 | 0x200  # CO_GENERATOR, CO_ASYNC_GENERATOR
_COROUTINE = 0x80


class Task(Begun[P, R], Decorated):
    """A function whose results are recorded.

    Calling it computes in this process, at most once for the same arguments and the same code. :meth:`submit` and
    :meth:`map` compute on the cores of this machine.

    Attributes
    ----------
    function : callable
        The undecorated function.
    root : callable
        What is identified, and run by workers: the function, or a :class:`offload.identity.declared.Declared` of it.
    resources : Resources
        What each call needs of its worker.
    limits : Limits
        What each call may use there.
    ignored : frozenset of str
        Parameters that do not count.
    """

    function: Callable[P, R]

    def __init__(
        self,
        function: Callable[P, R],
        scratch: bool = False,
        effects: str = "watch",
        root: Any = None,
        resources: Resources = (),
        limits: Limits = UNLIMITED,
    ) -> None:
        code = _code(function)
        if code is not None and code.co_flags & _GENERATORS:
            raise UsageError(
                f"{getattr(function, '__qualname__', function)!s} is a generator, whose values cannot be recorded",
                "return a list instead of yielding",
            )
        if not callable(function):
            raise UsageError(f"a {type(function).__name__} cannot be called, so it cannot be a task")
        if effects not in ("watch", "ignore"):
            raise UsageError(f"effects={effects!r} is not known", 'use effects="watch" or effects="ignore"')
        functools.update_wrapper(self, function)
        self.function = function
        self.root = function if root is None else root
        self.scratch = scratch
        self.watched = effects == "watch"
        self.resources = resources
        self.limits = limits
        self.ignored = ignored_parameters(function, getattr(root, "ignore", ()))
        self._files: Sequence[tuple[File, str]] = ()
        self._asynchronous = code is not None and bool(code.co_flags & _COROUTINE)
        if self._asynchronous:
            _mark_asynchronous(self, function)
        self._graph: Graph | None = None
        self._recorder: Recorder | None = None
        self._payload: tuple[str, Ways] | None = None
        self._without_kept: dict[str, str] = {}  # checksums of graphs, by those with attributes that calls have filled
        module = getattr(function, "__module__", None) or "builtins"
        self.label = f"{module}:{getattr(function, '__qualname__', type(function).__qualname__)}"

    def __offload_function__(self) -> object:
        return self.root

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

    def __repr__(self) -> str:
        return f"<offload.task {self.label}>"

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
                return True, from_buffer(data, call.transformation)
            except DecodeError as exc:
                session.give_up(call.transformation, self.label, exc)
        return False, None

    def _with_changes(self, session: Session, call: Call, data: bytes) -> tuple[bool, Any]:
        """Return the result of a call that changes what the function reaches, and change that as the call would."""
        from offload.identity.values.mutations import do_again

        value, changes, after = and_changes(data, call.transformation)
        graph = self.graph()
        same = self.checksum_of(graph) == call.function
        if same and do_again(graph, changes, lambda: self.checksum_of(self.graph()), after):
            return True, value
        session.will_replace(call.transformation)
        return False, None

    def identify(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """Return the identity of a call.

        Raises
        ------
        TypeError
            If the arguments do not fit the function.
        EncodeError, IdentityError
            If an argument, or something that the function reaches, has no identity.
        """
        return self.identify_many([(args, kwargs)])[0]

    def identify_many(self, rows: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[Call]:
        """Return the identities of many calls, looking once at what the function reaches; see :meth:`identify`."""
        try:
            return self._identified(rows)
        except (
            EncodeError,
            IdentityError,
        ) as exc:  # which says all that the way there would
            raise exc.with_traceback(None) from None

    def _identified(self, rows: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[Call]:
        self.graph()
        recorder = self._recorder
        assert recorder is not None
        calls = []
        with noting() as met:
            for args, kwargs in rows:
                if len(kwargs) > 1:  # in one order, whatever they were given in: a function can see it in **kwargs
                    kwargs = dict(sorted(kwargs.items()))
                bound = bind(self.function, args, kwargs)
                counted = [one for one in bound if one[0] not in self.ignored] if self.ignored else bound
                identified = recorder.record(counted)
                call = Call(self.label, recorder.function, identified, bound, args, kwargs, self.scratch)
                if met:
                    call.files = met.copy()
                    met.clear()
                calls.append(call)
        return calls

    def graph(self) -> Graph:
        """Return the graph of what the function reaches, as it is now."""
        graph = self._graph
        if graph is None or not graph.is_current():
            with noting() as self._files:
                graph = Graph(self.root)
            if graph.unfollowed and not getattr(
                self.root, "depends_on", ()
            ):  # else the user knows, and has declared it
                from offload.identity.functions.dynamic import tell

                tell(graph)
            self._recorder = Recorder(self.checksum_of(graph), graph.modules)
            self._graph = graph
            if type(self.root) is FunctionType:
                remember(self.root, graph)
        return graph

    def checksum_of(self, graph: Graph) -> str:
        """Return by which checksum a graph counts: what objects have computed in a call, and keep, is left out."""
        return self._without_kept.get(graph.checksum, graph.checksum)

    def declared(self) -> list[str]:
        """Return the files and directories that each call may read: those that the function reaches."""
        return [file.path for file, _ in self._files]

    def reached(self) -> Sequence[tuple[File, str]]:
        """Return these with their checksums."""
        return self._files

    def _inputs(self, call: Call) -> Sequence[File]:
        return [file for file, _ in (*self._files, *call.files)]

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

    @runs_calls
    async def _compute_async(self, session: Session, call: Call) -> Any:
        from offload.effects.warnings import tell_reached
        from offload.effects.watch import Watch
        from offload.transport.outcome import Outcome

        graph = self.graph()
        call.keep()
        if self.watched:
            values = [value for _, value in call.bound]
            tell_reached(self.label, graph, inputs=bool(self._inputs(call)), values=values)
        outcome = Outcome(time.time())
        began = time.perf_counter()
        watch = Watch(self._inputs(call), ignores=not self.watched)
        watch.listen(graph, [value for _, value in call.bound], call.modules)
        watch.begin_task()
        try:
            result = await self.function(*call.args, **call.kwargs)  # type: ignore[misc]
        finally:
            watch.end_task()
        outcome.effects = watch.all_seen(graph)
        outcome.seconds = time.perf_counter() - began
        outcome.changed = graph.changed()
        self._keep(session, graph, call, outcome, result)
        return result

    def _compute(self, session: Session, call: Call) -> R:
        from offload.effects.warnings import tell_reached
        from offload.effects.watch import Watch
        from offload.tasks.execute import execute
        from offload.transport.outcome import Outcome

        graph = self.graph()
        call.keep()
        if self.watched:
            values = [value for _, value in call.bound]
            tell_reached(self.label, graph, stacklevel=3, inputs=bool(self._inputs(call)), values=values)
        outcome = Outcome(time.time())
        began = time.perf_counter()
        watch = Watch(self._inputs(call), ignores=not self.watched)
        settings = Kept(graph.modules | call.modules)
        watch.listen(graph, [value for _, value in call.bound], call.modules)
        watch.begin()
        run = Run(graph)
        try:
            result: R = execute(self.function, call.args, call.kwargs)
        finally:
            run.end()
            watch.end()
            watch.put_back(settings)
        outcome.effects = watch.all_seen(graph)
        outcome.seconds = time.perf_counter() - began
        if self.checksum_of(graph) != call.function:  # another thread has changed something since it was identified
            outcome.changed = graph.changed() or graph.nodes[0].label
        elif (checksums := run.look(outcome)) is not None:
            without, whole = checksums
            if whole != without:
                self._without_kept[whole] = without
        self._keep(session, graph, call, outcome, result)
        return result

    def _keep(self, session: Session, graph: Graph, call: Call, outcome: Outcome, result: object) -> None:
        """Store and record a result; where that fails, say so."""
        from offload.tasks.recording import record
        from offload.tasks.results import to_buffer, with_changes
        from offload.tasks.returned_files import kept_in, returned

        if outcome.effects is not None:
            from offload.effects.warnings import tell

            if outcome.effects.written:
                outcome.effects.gives_back(returned(result))
            tell(self.label, outcome.effects, stacklevel=4)
            if outcome.effects.undeclared:
                return
        if outcome.changed is not None:
            record(session, functools.partial(explain, graph=graph, label=self.label), [(call, outcome)])
            return
        if self.watched and (name := _changed_argument(call)) is not None:
            from offload.effects.warnings import tell_changed

            tell_changed(self.label, name, stacklevel=4)
            return
        try:
            with kept_in(lambda: session.store):
                chunks, difference = to_buffer(result, graph)
            if difference is not None:
                raise EncodeError(difference, "give its class a __reduce__ that tells all, or use offload.register")
            if outcome.changes is not None:
                chunks = with_changes(chunks, *outcome.changes)
            if call.scratch:
                outcome.checksum = sha256(b"".join(chunks)).hexdigest()
            else:
                outcome.checksum = session.store.put([chunks])[0]
        except (EncodeError, StorageError) as exc:
            warnings.warn(NotRecordedWarning(f"{self.label}: the result is not recorded: {exc}"), stacklevel=4)
        else:
            record(session, functools.partial(explain, graph=graph, label=self.label), [(call, outcome)])
            if not call.scratch:
                from offload.api.other_each_time import tell_other_each_time

                tell_other_each_time(session, self.label, graph)

    def _begin(self, rows: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[Future[Any]]:
        from offload.api.submit import submit_many

        return submit_many(self, rows)

    def partner(self) -> Partner | None:
        """Return the process of another environment that makes the calls; None: this one does."""
        return None

    def payload(self) -> Ways:
        """Return the pickled function: workers run what was identified here."""
        checksum = self.graph().checksum
        if self._payload is None or self._payload[0] != checksum:
            from offload.transport.pickling import ways_of

            self._payload = checksum, ways_of(self.root, self.graph(), self.declared())
        return self._payload[1]


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


def _mark_asynchronous(task: Task[..., Any], function: Any) -> None:
    """Have a task known as a coroutine function."""
    import inspect

    mark = getattr(inspect, "markcoroutinefunction", None)
    if mark is not None:
        mark(task)
    elif isinstance(function, FunctionType):  # before Python 3.12, by what functions have
        vars(task).update({name: getattr(function, name) for name in ("__code__", "__defaults__", "__kwdefaults__")})


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


def _code(function: Any) -> CodeType | None:
    """Return the code that a call of a function, partial, method or callable object begins with."""
    while isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, "__code__") and not isinstance(function, type):
        function = next((vars(c)["__call__"] for c in type(function).__mro__ if "__call__" in vars(c)), None)
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None


# Within a value, a task counts as what it runs does, and not as the name that it is pickled under.
register(
    Task,
    encode=lambda t: [t.function, t.scratch, None if t.root is t.function else t.root],
    decode=lambda state: Task(state[0], state[1], root=state[2]),
    name="offload.Task",
)
