"""Sending functions and arguments to workers so that they run what was identified, not what they would import."""

from __future__ import annotations

import importlib
import io
import pickle
import sys
import threading
from collections.abc import Callable, Sequence
from operator import getitem
from types import CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle
from cloudpickle.cloudpickle import list_registry_pickle_by_value

from offload.errors import EncodeError, IdentityError
from offload.identity.declared import Declared
from offload.identity.files import File, arrived_with
from offload.identity.functions.graph import Graph
from offload.identity.functions.holders import holder, subscripted
from offload.identity.functions.identify import closure
from offload.identity.functions.parts import parts
from offload.identity.functions.state_checks import MISSING
from offload.identity.inspection import is_a, module_of
from offload.identity.libraries.distributions import PROJECT, origin
from offload.identity.references import name_of_sentinel, stand_in
from offload.identity.values.hidden_state import whole
from offload.identity.values.pickled_code import CodePickler
from offload.transport import process_bound
from offload.transport.decorated import Decorated
from offload.transport.function import Ways
from offload.transport.imports import attribute, undecorated
from offload.transport.large_arguments import Pieces
from offload.transport.sources import MAIN, Found, defines, found_at

_lock = threading.RLock()  # cloudpickle keeps one list of modules for all threads
_ATOMS = {type(None), bool, int, float, complex, str, bytes}

# Longer text and bytes are pickled, so that their size shows.
LARGE = 64 * 1024

Arguments = tuple[Any, dict[str, Any]]


def ways_of(function: Callable[..., Any], graph: Graph, declared: Sequence[str] = ()) -> Ways:
    """Return a function as it travels to workers: by name for those that see its files, and by value.

    Raises
    ------
    IdentityError
        If it can go by neither.
    """
    found, by_name, by_value, refused = Found(), None, None, None
    try:
        reached = _all_reached(function, graph)
        puts = [(owner, name, vars(owner)[name]) for owner, name in reached.puts]
        # Also those that only a registry leads to: what is registered there is, once they are imported.
        modules = [module for module in _modules_of(reached) if found.takes(module.__name__)]
        by_name = dumps((function, parts(graph), modules, declared, puts), reached, found=found)
    except Exception as exc:  # whatever the parts of the function may raise
        refused = _cannot_be_sent(function, exc, graph)
    if by_name is not None and not found.sources:
        return Ways(by_name, found.sources, pickled(function, graph, declared=declared))
    try:
        by_value = pickled(function, graph, declared=declared)
    except IdentityError as exc:
        refused = exc
        if by_name is None:
            raise
    return Ways(by_name, found.sources, by_value, refused.message if refused is not None else "")


def _modules_of(graph: Graph) -> list[ModuleType]:
    """Return the modules that parts of a graph lie in, in the order in which they were imported."""
    names = {_module_of(node.subject) for node in graph.nodes}
    modules = [module for name, module in list(sys.modules.items()) if name in names and is_a(module, ModuleType)]
    return [module for module in modules if sys.modules.get(module.__name__) is module]


def _module_of(subject: object) -> str:
    name = subject.__name__ if is_a(subject, ModuleType) else module_of(type(subject))
    if is_a(subject, type):
        name = module_of(subject)
    elif is_a(subject, FunctionType):
        name = subject.__module__
    return name if isinstance(name, str) else ""


def _cannot_be_sent(function: Callable[..., Any], reason: Exception, graph: Graph) -> IdentityError:
    inner = getattr(function, "function", function)
    hint = "call it directly, or create what cannot be pickled inside it"
    if graph.ignored:
        hint = "call it directly, or define what is ignored in a module of its own that workers can import"
    return IdentityError(
        f"the function {getattr(inner, '__qualname__', inner)!s} cannot be sent to a worker: {reason}", hint
    )


def pickled(
    function: Callable[..., Any], graph: Graph, limit: int | None = None, declared: Sequence[str] = ()
) -> bytes:
    """Return the pickled function, its parts, the project's modules that it imports, the files that it may read, and
    what the project has put into libraries for it.

    What it reaches of the project goes by value. By reference, a worker would import the file as it is on disk by then,
    or without what was set after the import; or it would not find it.

    Raises
    ------
    IdentityError
        If it cannot be pickled, or takes more bytes than the limit.
    """
    try:
        reached = _all_reached(function, graph)
        puts = [(owner, name, vars(owner)[name]) for owner, name in reached.puts]
        return dumps((function, parts(graph), _imported(reached), declared, puts), reached, limit)
    except Exception as exc:  # whatever the parts of the function may raise
        raise _cannot_be_sent(function, exc, graph) from exc


def whole_task(task: Any) -> bytes:
    """Return a pickled task by value, the project's modules that it imports, and what the project has put into others.

    For a process that runs it without having identified it, and has an interpreter of the same version.
    """
    reached = _all_reached(task.root, task.graph())
    puts = [(owner, name, vars(owner)[name]) for owner, name in reached.puts]
    return dumps((task, _imported(reached), puts), reached)


def _all_reached(function: Callable[..., Any], graph: Graph) -> Graph:
    """Return the graph of all that is needed to run a function, also where only its declared version counts."""
    if not isinstance(function, Declared) or function.version is None:
        return graph
    try:
        if function.ignore:
            return Graph(Declared(function.function, ignore=function.ignore))
        return closure(function.function)
    except IdentityError:
        return graph


def _imported(graph: Graph) -> dict[str, ModuleType]:
    """Return the project's modules that imports within the code of a graph find, by their names."""
    return {
        found.__name__: found
        for names, _, found in graph._names
        if names is sys.modules and isinstance(found, ModuleType) and origin(found.__name__) == PROJECT
    }


class _Accompanied:
    """Arguments, and the files that they are made of."""

    def __init__(self, args: Any, kwargs: dict[str, Any], implied: Sequence[tuple[type[File], str, str]]) -> None:
        self._parts = args, kwargs, implied

    def __reduce__(self) -> Any:
        return arrived_with, self._parts


def packed(
    args: Any,
    kwargs: dict[str, Any],
    implied: Sequence[tuple[type[File], str, str]] = (),
    checksums: dict[str, str] | None = None,
) -> Arguments | bytes | Ways:
    """Return the arguments of a call in the form in which they travel.

    Each call's by themselves: calls of one batch must not share a list that one of them may change. Of the files that
    are `implied`, the kind, the path and the checksum of the content travel along; so do the `checksums` of arguments,
    by which a worker sees whether the call has changed them.

    Raises
    ------
    EncodeError
        If they cannot be pickled.
    """
    values = (*args, *kwargs.values()) if kwargs else args
    if _ATOMS.issuperset(map(type, values)) and not any(type(v) in (str, bytes) and len(v) > LARGE for v in values):
        return args, kwargs
    found = Found(checked=True)
    try:
        arguments = (_Accompanied(args, kwargs, implied) if implied else (args, kwargs)), checksums or {}
        by_name = dumps(arguments, found=found, pieces=Pieces())
    except Exception as exc:  # whatever the parts of the arguments may raise
        raise EncodeError(
            f"the arguments cannot be sent to a worker: {exc}", "call the function directly, or pass plainer values"
        ) from exc
    if not found.sources:
        return by_name
    try:
        return Ways(by_name, found.sources, dumps(arguments, pieces=Pieces()), named=found.named)
    except Exception as exc:  # as above
        return Ways(by_name, found.sources, None, f"the arguments cannot be sent to a worker: {exc}", found.named)


class _Bounded(io.BytesIO):
    """Takes so many bytes and no more, also of a piece that the pickler would copy first."""

    def __init__(self, limit: int | None) -> None:
        super().__init__()
        self._limit = limit

    def write(self, data: Any) -> int:
        """Take bytes."""
        self.takes(data)
        return super().write(data)

    def takes(self, data: Any) -> bool:
        """Tell that there is room for bytes; an EncodeError where there is not."""
        if self._limit is not None and self.tell() + memoryview(data).nbytes > self._limit:
            raise EncodeError(f"it takes more than {self._limit} bytes")
        return True


def dumps(
    value: object,
    graph: Graph | None = None,
    limit: int | None = None,
    found: Found | None = None,
    pieces: Pieces | None = None,
) -> bytes:
    """Return a pickled value, or a view of it where there are large pieces; code of the project in it goes by value.

    Parameters
    ----------
    value : object
        Anything that can be pickled.
    graph : Graph, optional
        Says what of the project's modules has been looked up.
    limit : int, optional
        Give up, with an EncodeError, where it takes more bytes.
    found : Found, optional
        Let what can go by name do so, and gather here which files that takes.
    pieces : Pieces, optional
        Let large pieces stand beside the pickle, for :func:`offload.transport.large_arguments.loads`.
    """
    with _lock, _Bounded(limit) as file:
        pickler = _Pickler(file, found, file.takes if pieces is None else pieces.take)
        if graph is not None:
            pickler.note(graph)
        try:
            pickler.dump(value)
        finally:
            for module in pickler.registered:
                cloudpickle.unregister_pickle_by_value(module)
        data: bytes = file.getvalue() if pieces is None else pieces.joined(file.getvalue())
        return data


def _named(value: Any, found: Found) -> Any:
    """Return how to find a class, function, task or module by its name, where that can be done; else None."""
    if is_a(value, ModuleType):
        name = value.__name__
        return (attribute, (name, "")) if sys.modules.get(name) is value and found.takes(name) else None
    if is_a(value, Decorated):
        module, path = (getattr(value.function, n, None) or "" for n in ("__module__", "__qualname__"))
        return (
            (attribute, (module, path))
            if found_at(module, path) is value and found.notes(value, module, path)
            else None
        )
    if is_a(value, type):
        module, path = module_of(value) or "", value.__qualname__
    elif is_a(value, FunctionType):
        module, path = value.__module__ or "", value.__qualname__
    else:
        return None
    held = found_at(module, path)
    if held is value and found.notes(value, module, path):
        return attribute, (module, path)
    place = holder(value) if held is not value and not is_a(held, Decorated) else None
    if place is not None and (place[0] != MAIN or defines(place[1].partition(".")[0])):
        return (attribute, place) if found.notes(value, *place) else None
    if is_a(held, Decorated) and held.function is value and found.notes(held, module, path):
        return undecorated, (module, path)
    return None


def _code(make: Callable[..., CodeType], arguments: tuple[Any, ...], file: str) -> CodeType:
    """Make a code object that knows its file, which tracebacks show; since 3.1.3, cloudpickle leaves it out."""
    return make(*arguments).replace(co_filename=file)


def _can_be_pickled(value: object) -> bool:
    try:
        cloudpickle.dumps(value, protocol=5)
    except Exception:  # whatever its parts may raise
        return False
    return True


def _place(first: object, name: str, value: object) -> str | None:
    """Return a module that can be imported and has a value under a name, or None."""
    for module in (first, type(value).__module__, *list(sys.modules)):
        held = getattr(sys.modules.get(module), "__dict__", {}) if isinstance(module, str) else {}
        if module != "__main__" and held.get(name, MISSING) is value:
            return str(module)
    return None


def _taken(module: str, name: str) -> Any:
    """Return what stands under a name in a module that is imported here."""
    return getattr(importlib.import_module(module), name)


class _Pickler(CodePickler):
    """Pickles the project's functions and classes by value, and of its modules just what was looked up in them."""

    def __init__(
        self,
        file: io.BytesIO,
        found: Found | None = None,
        takes_piece: Callable[[pickle.PickleBuffer], bool] | None = None,
    ) -> None:
        super().__init__(file, protocol=5, buffer_callback=takes_piece)
        self._found = found
        self.registered: list[ModuleType] = []
        self._looked_up: dict[int, dict[Any, object]] = {}
        self._by_name: dict[int, tuple[str, str]] = {}  # what is ignored and cannot be pickled
        self._noted: set[int] = set()  # what the noted graphs have looked at; it is being pickled, so it lives

    def note(self, graph: Graph) -> None:
        """Take note of what a graph has looked up in modules."""
        for names, name, found in (*graph._names, *graph.passed):
            if found is not MISSING:
                self._looked_up.setdefault(id(names), {})[name] = found
        for names, name, found in graph.passed:
            place = _place(names.get("__name__"), str(name), found)
            if place is not None and not _can_be_pickled(found):
                self._by_name[id(found)] = place, str(name)
        self._noted.update(id(node.subject) for node in graph.nodes)

    def _dynamic_function_reduce(self, function: FunctionType) -> Any:
        """Return the parts of a function; with the globals that texts in its code name (``"x > @LIMIT"``)."""
        reduced = super()._dynamic_function_reduce(function)
        taken = reduced[2][1]["__globals__"]
        texts = [text for text in function.__code__.co_consts if type(text) is str and len(text) < LARGE]
        for name, found in self._looked_up.get(id(function.__globals__), {}).items():
            if name not in taken and any(name in text for text in texts):
                taken[name] = found
        return reduced

    def reducer_override(self, value: Any) -> Any:
        """Return the parts of a value, as :mod:`pickle` asks for them."""
        if (place := self._by_name.get(id(value))) is not None:
            return _taken, place
        if self._found is not None and (named := _named(value, self._found)) is not None:
            return named
        if (made_of := subscripted(value)) is not None:
            return getitem, made_of
        if is_a(value, Decorated):
            return type(value), value.made_of
        if type(value) is CodeType:
            make, arguments = self.dispatch_table[CodeType](value)
            return _code, (make, arguments, value.co_filename)
        if is_a(value, ModuleType):
            if origin(value.__name__) == PROJECT:
                return ModuleType, (value.__name__,), self._looked_up.get(id(vars(value)), {})
        elif is_a(value, type) or is_a(value, FunctionType):
            module = sys.modules.get((module_of(value) if is_a(value, type) else value.__module__) or "")
            if module is not None and origin(module.__name__) == PROJECT:
                self._by_value(value, module)
        elif (parts := self._anew(value)) is not None:
            return parts
        elif (name := name_of_sentinel(value)) is not None:
            return stand_in, (name, type(value))
        else:
            parts = whole(value)
            return NotImplemented if parts is None else parts
        return super().reducer_override(value)

    def _anew(self, value: Any) -> Any:
        if self._found is not None and type(value) is process_bound.CACHED and self._found.takes(value.__module__):
            return None
        return process_bound.parts(value)

    def _by_value(self, value: type | FunctionType, module: ModuleType) -> None:
        if module.__name__ != "__main__" and module.__name__ not in list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(module)
            self.registered.append(module)
        if id(value) in self._noted:  # with all that it reaches
            return
        try:
            self.note(closure(value))
        except IdentityError:
            pass  # it does not count, or there would have been no identity: it is an annotation, for example
