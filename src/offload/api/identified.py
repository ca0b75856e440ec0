"""A task as far as its calls are identified: in this process, before anything is recalled, computed or sent."""

from __future__ import annotations

import functools
from types import CodeType, FunctionType

from offload.errors import (
    EncodeError,
    IdentityError,
    UsageError,
)
from offload.identity.calls import Recorder, bind
from offload.identity.declared import as_now
from offload.identity.functions.graph import Graph
from offload.identity.functions.identify import remember
from offload.identity.ignored import ignored_parameters
from offload.tasks.call import Call
from offload.tasks.deferred import Begun
from offload.tasks.files import noting
from offload.transport.decorated import Decorated
from offload.transport.limits import UNLIMITED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, ParamSpec, TypeVar

    from offload.identity.files import File
    from offload.tasks.futures import Future
    from offload.transport.function import Ways
    from offload.transport.limits import Limits
    from offload.util.resources import Resources

    P = ParamSpec("P")
    Q = ParamSpec("Q")
    R = TypeVar("R", covariant=True)
    T = TypeVar("T")
else:
    from offload.util.typing import P, R

_GENERATORS = 0x20 | 0x200  # CO_GENERATOR, CO_ASYNC_GENERATOR
_COROUTINE = 0x80


class IdentifiedTask(Begun[P, R], Decorated):
    """A function of the user's with what tells its calls apart: its code, what that reaches, and the arguments.

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
        wrapper: Any = self  # which can be called, as a task
        functools.update_wrapper(wrapper, function)
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

    def is_elsewhere(self) -> bool:
        """Tell whether calls are made by the process of another environment."""
        return False

    def elsewhere(self, ready: Sequence[tuple[Future[Any], tuple[Any, ...], dict[str, Any]]]) -> bool:
        """Have calls made by the process of another environment; False where this process makes them."""
        return False

    def __offload_function__(self) -> object:
        return self.root

    def __repr__(self) -> str:
        return f"<offload.task {self.label}>"

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
            with noting() as self._files, as_now():
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

    def inputs_of(self, call: Call) -> Sequence[File]:
        """Return the files and directories that a call may read, with those among its arguments."""
        return [file for file, _ in (*self._files, *call.files)]

    def payload(self) -> Ways:
        """Return the pickled function: workers run what was identified here."""
        checksum = self.graph().checksum
        if self._payload is None or self._payload[0] != checksum:
            from offload.transport.pickling import ways_of

            self._payload = checksum, ways_of(self.root, self.graph(), self.declared())
        return self._payload[1]


def _mark_asynchronous(task: IdentifiedTask[..., Any], function: Any) -> None:
    """Have a task known as a coroutine function."""
    import inspect

    mark = getattr(inspect, "markcoroutinefunction", None)
    if mark is not None:
        mark(task)
    elif isinstance(function, FunctionType):  # before Python 3.12, by what functions have
        vars(task).update({name: getattr(function, name) for name in ("__code__", "__defaults__", "__kwdefaults__")})


def _code(function: Any) -> CodeType | None:
    """Return the code that a call of a function, partial, method or callable object begins with."""
    while isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, "__code__") and not isinstance(function, type):
        function = next((vars(c)["__call__"] for c in type(function).__mro__ if "__call__" in vars(c)), None)
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None
