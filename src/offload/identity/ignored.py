"""Names that the user vouches for: what they stand for does not count, and is not looked into."""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType

from offload.errors import UsageError
from offload.identity.functions.state_checks import MISSING
from offload.identity.inspection import attribute
from offload.identity.libraries.distributions import PROJECT, origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from offload.identity.functions.bytecode import Read
    from offload.identity.functions.graph import Graph

IGNORED = ["ignored"]
"""What stands in a graph for it."""

# Equal ones of these are one object, wherever they stand.
_SHARED = (type(None), bool, int, float, complex, str, bytes, tuple, frozenset, type(Ellipsis))


def parameters(function: Any) -> tuple[str, ...]:
    """Return the names of a function's parameters."""
    if type(function) is FunctionType:
        code = function.__code__
        more = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
        return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + more]
    import inspect

    try:
        return tuple(inspect.signature(function, follow_wrapped=False).parameters)
    except (TypeError, ValueError):  # some built-in functions do not tell theirs
        return ()


def ignored_parameters(function: Any, names: Sequence[str]) -> frozenset[str]:
    """Return which of the names are parameters."""
    return frozenset(names).intersection(parameters(function)) if names else frozenset()


def ignored_values(function: Callable[..., Any], names: Sequence[str]) -> dict[str, object]:
    """Return what the names stand for that are no parameters, by the last part of each.

    Raises
    ------
    UsageError
        If a name is neither a parameter nor a variable of the function's module.
    """
    found: dict[str, object] = {}
    inner = _undecorated(function)
    known = parameters(function)
    cells = dict(zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=True)) if inner is not None else {}
    variables: dict[str, Any] = inner.__globals__ if inner is not None else _module_of(function)
    for name in names:
        if name in known:
            continue
        first, *rest = name.split(".")
        value: Any = variables.get(first, MISSING)
        if first in cells:
            try:
                value = cells[first].cell_contents
            except ValueError:
                value = MISSING
        for part in rest:
            value = MISSING if value is MISSING else attribute(value, part, MISSING)
        if value is MISSING:
            raise UsageError(f"ignore: {_unknown(function, name)}", _nearest(name, [*known, *cells, *variables]))
        found[name.rpartition(".")[2]] = value
    return found


def is_ignored_read(graph: Graph, function: FunctionType, cells: dict[str, Any], read: Read) -> bool:
    """Tell whether a read leads to something that is ignored; what is found so still travels to workers."""
    value: Any
    place: Any = function.__globals__
    if read.kind == "free":
        try:
            value = cells[read.name].cell_contents
        except (KeyError, ValueError):
            return False
    elif read.kind == "global":
        value = place.get(read.name, MISSING)
    else:
        value, place = sys.modules.get(read.name, MISSING) if not read.level else MISSING, {}
    for name in (read.name, *read.attributes):
        if name is not read.name:
            if not isinstance(value, ModuleType):
                return False
            place, value = vars(value), vars(value).get(name, MISSING)
        held = graph.ignored.get(name, MISSING)
        if held is not MISSING and held is value:
            if read.kind != "free":
                graph.passed.append((place, name, value))
            return True
    return False


def is_ignored(graph: Graph, value: object) -> bool:
    """Tell whether an object is ignored, however it is reached."""
    return type(value) not in _SHARED and any(one is value for one in graph.ignored.values())


def name_to_ignore(graph: Graph, where: str) -> str:
    """Return by which name that can be ignored something is reached, or other words.

    That is the name in the project's code, however deep below it the thing lies.
    """
    node, root = graph._at, graph.nodes[0].subject if graph.nodes else None
    while node is not None and node.via is not None and origin(_module_name(node.subject)) != PROJECT:
        node, where = node.via, node.where
    _, _, name = where.rpartition(": ")
    function = node.subject if node is not None else None
    first, *rest = name.split(".")
    if type(function) is not FunctionType or not all(part.isidentifier() for part in (first, *rest)):
        return "its name"
    if isinstance(function.__globals__.get(first), ModuleType) and rest:
        first = f"{first}.{rest[0]}"
    elif _module_name(root) != function.__module__ and first in function.__globals__ and type(root) is FunctionType:
        first = f"{function.__module__.rpartition('.')[2]}.{first}"
    return repr(first)


def _module_name(subject: object) -> str:
    return str(getattr(subject, "__module__", None) or "builtins") if isinstance(subject, FunctionType | type) else ""


def _undecorated(function: Any) -> FunctionType | None:
    for _ in range(100):
        if type(function) is FunctionType:
            return function
        function = attribute(function, "func") or attribute(function, "__func__") or attribute(function, "__wrapped__")
    return None


def _module_of(function: Any) -> dict[str, Any]:
    return dict(vars(sys.modules.get(type(function).__module__) or object))


def _unknown(function: Any, name: str) -> str:
    label = attribute(function, "__qualname__") or type(function).__qualname__
    return f"{name} is neither a parameter of {label} nor a variable of its module"


def _nearest(name: str, known: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else "name it as the code does: ignore=['ureg'], ignore=['units.ureg']"
