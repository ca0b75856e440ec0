"""What counts of a class: its bases and members, and what others have registered with it or put into it."""

from __future__ import annotations

import abc
import importlib
from functools import cached_property, partial, partialmethod, singledispatchmethod
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType

from offload.identity.functions.argmap import counts_calls
from offload.identity.functions.generated_members import fitted
from offload.identity.functions.graph import Graph
from offload.identity.libraries.distributions import PROJECT, STANDARD, origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

# What Python itself keeps in a class or module, and what is not read when its code runs.
_CLASS_NOISE = {
    "__abstractmethods__",
    "__annotate__",
    "__annotate_func__",
    "__annotations__",
    "__annotations_cache__",
    "__classcell__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__module__",
    "__orig_bases__",
    "__parameters__",
    "__qualname__",
    "__slotnames__",
    "__static_attributes__",
    "__weakref__",
    "_abc_impl",
}
# What an enumeration notes in its members; the last is remembered when it is asked for.
_OF_MEMBERS = {"_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_"}
_ENUM_NOISE = {"_member_map_", "_member_names_", "_value2member_map_", "_hashable_values_", "_unhashable_values_"}


def is_made_here(cls: type) -> bool:
    """Tell whether a class that is not where it says was made in Python, of what the project gave to a library."""
    members = vars(cls)
    return "__weakref__" in members or any(isinstance(member, FunctionType) for member in members.values())


def is_of_project(function: FunctionType) -> bool:
    """Tell whether a function that was found in a library is the project's; libraries make some without a module."""
    name = function.__globals__.get("__name__")
    return bool(name) and origin(name) == PROJECT


def strangers(graph: Graph, cls: type) -> Iterator[object]:
    """Yield what the project has put into a class of a library: functions as members, virtual subclasses."""
    graph.measure_members(cls)
    members = vars(cls)
    for name, member in sorted(members.items()):
        if _is_strange(member):
            yield [name, member_contents(graph, graph.look(members, name), f"{cls.__qualname__}.{name}")]
    yield from registered(graph, cls)


def _is_strange(member: Any) -> bool:
    """Tell whether a member is a function of the project, a method or property made of one, or an object of its."""
    kind = type(member)
    if kind is FunctionType:
        return is_of_project(member)
    if kind in (staticmethod, classmethod):
        return _is_strange(member.__func__)
    if kind is property:
        return any(_is_strange(one) for one in (member.fget, member.fset, member.fdel))
    if kind is cached_property:
        return _is_strange(member.func)
    return kind.__module__ != "builtins" and not isinstance(member, type) and origin(kind.__module__) == PROJECT


def registered(graph: Graph, cls: type) -> Iterator[object]:
    """Yield the classes that are registered with an abstract base class of the project, or the project's with any."""
    if isinstance(cls, abc.ABCMeta):
        found = graph.ask(_registry, cls)
        if found:
            yield ["registered", [graph.refer(one) for one in found]]


def _registry(cls: type) -> list[type]:
    registry = importlib.import_module("_abc")._get_dump(cls)[0]  # abc tells it to a stream only
    own = origin(cls.__module__) == PROJECT
    alive = [found for reference in registry if (found := reference()) is not None]
    return sorted((c for c in alive if own or origin(c.__module__) == PROJECT), key=lambda c: c.__qualname__)


def _bases(cls: type) -> tuple[type, ...]:
    return cls.__bases__


def class_contents(graph: Graph, cls: type, label: str) -> list[object]:
    """Return what counts of a class of the project."""
    bases = [graph.refer(base) for base in graph.ask(_bases, cls)]
    meta = graph.refer(type(cls))
    graph.measure_members(cls)
    members: list[object] = [*registered(graph, cls)]
    enumeration = "_member_map_" in vars(cls)
    if enumeration:
        members.append([[name, *_enumerated(graph, m, label)] for name, m in vars(cls)["_member_map_"].items()])
    made = fitted(cls)
    names = vars(cls)
    for name in sorted(names):
        if name in made:
            if made[name] is not None:
                members.append([name, graph.describe(made[name], f"{label}.{name}")])
            continue
        if name in _CLASS_NOISE or counts_calls(cls, name):
            continue
        if enumeration and (name in _ENUM_NOISE or name in vars(cls)["_member_map_"]):
            continue
        where = f"{label}.{name}"
        member = graph.look(names, name)
        if name == "__dataclass_fields__":
            members.append([name, _field_contents(graph, member, where)])
        elif name == "__dataclass_params__":
            members.append([name, repr(member)])
        else:
            members.append([name, member_contents(graph, member, where)])
    if any(origin(base.__module__) not in (PROJECT, STANDARD) for base in cls.__mro__):
        # Libraries such as pydantic and msgspec make fields of them.
        members.append(["__annotations__", repr(vars(cls).get("__annotations__"))])
    if type(cls).__module__.partition(".")[0] == "msgspec":  # it keeps them where only C sees them
        members.append(["__struct__", *_struct(graph, cls, label)])
    return [cls.__qualname__, bases, meta, members]


def member_contents(graph: Graph, member: object, where: str) -> object:
    """Return what counts of a member of a class, or of what stands in its place."""
    if isinstance(member, (staticmethod, classmethod)):
        return [type(member).__name__, graph.describe(member.__func__, where)]
    if isinstance(member, property):
        accessors = [graph.describe(f, where) for f in (member.fget, member.fset, member.fdel)]
        return ["property", graph.refer(type(member)), accessors]
    if isinstance(member, (MemberDescriptorType, GetSetDescriptorType)):
        return ["slot"]
    if type(member).__name__ == "CField":  # of ctypes: where it lies, and how long it is
        return ["field", repr(member)]
    if isinstance(member, partialmethod):
        return ["partialmethod", graph.describe(partial(member.func, *member.args, **member.keywords), where)]
    if isinstance(member, singledispatchmethod):
        return ["singledispatchmethod", graph.describe(member.dispatcher, where), graph.describe(member.func, where)]
    if isinstance(member, cached_property):  # besides the function it holds a lock
        return ["cached_property", graph.refer(type(member)), graph.describe(member.func, where)]
    return graph.describe(member, where)


def _field_contents(graph: Graph, fields: Any, where: str) -> list[object]:
    """Return what a dataclass reads of its fields; their types are annotations."""
    flags = ("init", "repr", "hash", "compare", "kw_only")
    describe: Callable[[object], object] = lambda v: (  # noqa: E731
        ["missing"] if type(v).__name__ == "_MISSING_TYPE" else graph.describe(v, where)
    )
    return [
        [
            *(name, describe(f.default), describe(f.default_factory), [getattr(f, flag) for flag in flags]),
            *_metadata(graph, f, where),
        ]
        for name, f in fields.items()
    ]


def _metadata(graph: Graph, field: Any, where: str) -> list[object]:
    return [graph.describe(dict(field.metadata), where)] if field.metadata else []


def _enumerated(graph: Graph, member: Any, where: str) -> list[object]:
    """Return the value of a member of an enumeration, and what it has besides."""
    graph.measure(vars(member))
    names = sorted(vars(member).keys() - _OF_MEMBERS)
    attributes = [[name, graph.describe(graph.look(vars(member), name), where)] for name in names]
    return [graph.describe(member._value_, where), *attributes]


def _struct(graph: Graph, cls: Any, where: str) -> list[object]:
    config = cls.__struct_config__
    flags = [[name, str(getattr(config, name))] for name in sorted(dir(config)) if name[:1] != "_"]
    return [[*cls.__struct_encode_fields__], [graph.describe(d, where) for d in cls.__struct_defaults__], flags]
