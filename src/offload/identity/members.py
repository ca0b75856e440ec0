"""What counts of each kind of node: a function's code and reads, a class's members, a module's names."""

from __future__ import annotations

import builtins
import importlib
import sys
from functools import cached_property, partial, partialmethod, singledispatchmethod
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType

from offload.errors import IdentityError
from offload.identity.codes import Read, inspect_code
from offload.identity.distributions import PROJECT, STANDARD, origin
from offload.identity.graph import MISSING, Graph, Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
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
_ENUM_NOISE = {"_member_map_", "_member_names_", "_value2member_map_", "_hashable_values_", "_unhashable_values_"}
# Code with one of these names may well read annotations, which count for nothing otherwise.
_ANNOTATION_READERS = {"__annotations__", "fields", "get_annotations", "get_type_hints", "getfullargspec", "signature"}
_EXTENSIONS = (".so", ".pyd", ".dylib")


def reference(graph: Graph, value: object) -> object:
    """Return the reference to a function, class or module: a node for the project's, a name for the others."""
    if isinstance(value, ModuleType):
        return _module_reference(graph, value)
    if isinstance(value, FunctionType):
        name = value.__globals__.get("__name__")
        if _whose(graph, name) == PROJECT:
            return graph.number("function", value, f"{name}:{value.__qualname__}")
        if is_at(value, name, value.__qualname__):
            return ["external", name, value.__qualname__]
        return _made_elsewhere(graph, value)
    if isinstance(value, type):
        # A class that is not where it says was made by a library, of what the project gave to it.
        made = not is_at(value, value.__module__, value.__qualname__) and _has_functions(value)
        if _whose(graph, value.__module__) == PROJECT or made:
            return graph.number("class", value, f"{value.__module__}:{value.__qualname__}")
        return ["external", value.__module__, value.__qualname__]
    if isinstance(value, BuiltinFunctionType):
        owner = value.__self__
        if owner is None or isinstance(owner, ModuleType):
            module = value.__module__ or "builtins"
            if _whose(graph, module) == PROJECT and module in sys.modules:
                return ["member", _module_reference(graph, sys.modules[module]), value.__qualname__]
            return ["external", module, value.__qualname__]
        return ["method", value.__name__, graph.describe(owner, value.__qualname__)]
    raise IdentityError(f"a {type(value).__qualname__} cannot be referred to")


def contents(graph: Graph, node: Node) -> list[object]:
    """Return what counts of a node."""
    subject = node.subject
    if isinstance(subject, FunctionType):
        return _function_contents(graph, subject, node.label)
    if isinstance(subject, type):
        return _class_contents(graph, subject, node.label)
    assert isinstance(subject, ModuleType)
    return _module_contents(graph, subject)


def is_at(value: object, module_name: str | None, qualname: str) -> bool:
    """Tell whether a class or function is what its module and name say, so that these stand for it."""
    found: object = sys.modules.get(module_name or "")
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found is value


def _has_functions(cls: type) -> bool:
    return any(isinstance(member, FunctionType) for member in vars(cls).values())


def _made_elsewhere(graph: Graph, function: FunctionType) -> object:
    """Return what stands for a function that a library made: a wrapper of the project's functions, perhaps."""
    label = function.__qualname__
    registry = function.__dict__.get("registry")
    if function.__globals__["__name__"] == "functools" and registry is not None:
        # A singledispatch function, whose cells hold a cache.
        graph.measure(registry)
        classes = sorted(registry, key=lambda cls: (cls.__qualname__, cls.__module__))
        return ["dispatch", [[graph.refer(cls), graph.describe(graph.look(registry, cls), label)] for cls in classes]]
    graph.watch(function)
    cells = [graph.describe(graph.look_in(cell), label) for cell in function.__closure__ or ()]
    defaults = [graph.describe(default, label) for default in function.__defaults__ or ()]
    keywords = [[name, graph.describe(d, label)] for name, d in (function.__kwdefaults__ or {}).items()]
    wrapped = graph.describe(function.__dict__.get("__wrapped__", MISSING), label)
    code = inspect_code(function.__code__).normal  # which of the library's nameless functions it is
    return ["made", code, cells, defaults, keywords, wrapped]


def _whose(graph: Graph, module_name: str | None) -> str:
    where = origin(module_name)
    if where not in (PROJECT, STANDARD):
        assert module_name is not None
        graph.modules.add(module_name.partition(".")[0])
    return where


def _function_contents(graph: Graph, function: FunctionType, label: str) -> list[object]:
    graph.watch(function)
    code = inspect_code(function.__code__)
    graph.reads_annotations |= not code.names.isdisjoint(_ANNOTATION_READERS)
    defaults = [graph.describe(d, f"{label}: a default") for d in function.__defaults__ or ()]
    keywords = [[name, graph.describe(d, f"{label}: a default")] for name, d in (function.__kwdefaults__ or {}).items()]
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    reads = []
    for read in code.reads:
        name = ".".join((read.name, *read.attributes))
        reads.append([read.kind, name, _read(graph, function, cells, read, f"{label}: {name}")])
    return [code.normal, defaults, keywords, reads]


def _read(graph: Graph, function: FunctionType, cells: dict[str, Any], read: Read, where: str) -> object:
    """Return what stands for what a read finds, following attributes through the project's modules and functions."""
    if read.kind == "free":
        value = graph.look_in(cells[read.name])
    elif read.kind == "global":
        value = graph.look(function.__globals__, read.name)
        if value is MISSING:
            # As the interpreter does: builtins come after globals.
            value = graph.look(vars(builtins), read.name)
    else:
        name = _absolute(function, read)
        if _whose(graph, name) != PROJECT:  # perhaps not loaded yet, and not needed to recall
            return ["external", name]
        value = _imported(graph, name)
        if read.kind == "load" and value is not MISSING:
            return None
    for attribute in read.attributes:
        if isinstance(value, ModuleType) and _whose(graph, value.__name__) == PROJECT:
            found = graph.look(vars(value), attribute)
            if found is MISSING:
                found = getattr(value, attribute, MISSING)
            if found is MISSING and read.kind == "import":
                found = _imported(graph, f"{value.__name__}.{attribute}")
            value = found
        elif isinstance(value, FunctionType) and attribute in value.__dict__:
            value = graph.look(value.__dict__, attribute)
        else:
            break
    return graph.describe(value, where)


def _absolute(function: FunctionType, read: Read) -> str:
    """Return the full name of the module that an import inside the function names."""
    if not read.level:
        return read.name
    package = function.__globals__.get("__package__") or function.__globals__.get("__name__", "").rpartition(".")[0]
    base = package.rsplit(".", read.level - 1)[0] if read.level > 1 else package
    return f"{base}.{read.name}" if read.name else base


def _imported(graph: Graph, name: str) -> object:
    """Return a module of the project; it is imported, as the call would do."""
    if name not in sys.modules:
        try:
            importlib.import_module(name)
        except Exception:  # whatever its code may raise: the call meets the same, and may well catch it
            return MISSING
    return graph.look(sys.modules, name)


def _module_reference(graph: Graph, module: ModuleType) -> object:
    name = module.__name__
    if _whose(graph, name) == PROJECT:
        return graph.number("module", module, name)
    return ["external", name]


def _module_contents(graph: Graph, module: ModuleType) -> list[object]:
    file = getattr(module, "__file__", None)
    if file and file.endswith(_EXTENSIONS):
        from offload.identity.files import file_checksum

        return ["extension", file_checksum(file)]
    members: list[object] = []
    graph.measure(vars(module))
    for name in sorted(vars(module)):
        if not (name.startswith("__") and name.endswith("__")):
            members.append([name, graph.describe(graph.look(vars(module), name), f"{module.__name__}.{name}")])
    return members


def _class_contents(graph: Graph, cls: type, label: str) -> list[object]:
    bases = [graph.refer(base) for base in cls.__bases__]
    meta = graph.refer(type(cls))
    graph.measure(vars(cls))
    members: list[object] = []
    enumeration = "_member_map_" in vars(cls)
    if enumeration:
        members.append([[name, graph.describe(m._value_, label)] for name, m in vars(cls)["_member_map_"].items()])
    for name in sorted(vars(cls)):
        if name == "__hash__" and "__attrs_attrs__" in vars(cls) and _is_salted(vars(cls)[name]):
            continue
        if name in _CLASS_NOISE or (enumeration and (name in _ENUM_NOISE or name in vars(cls)["_member_map_"])):
            continue
        where = f"{label}.{name}"
        member = graph.look(vars(cls), name)
        if name == "__dataclass_fields__":
            members.append([name, _field_contents(graph, member, where)])
        elif name == "__dataclass_params__":
            members.append([name, repr(member)])
        else:
            members.append([name, _member(graph, member, where)])
    if any(origin(base.__module__) not in (PROJECT, STANDARD) for base in cls.__mro__):
        # Libraries such as pydantic and msgspec make fields of them.
        members.append(["__annotations__", repr(vars(cls).get("__annotations__"))])
    return [cls.__qualname__, bases, meta, members]


def _member(graph: Graph, member: object, where: str) -> object:
    if isinstance(member, (staticmethod, classmethod)):
        return [type(member).__name__, graph.describe(member.__func__, where)]
    if isinstance(member, property):
        accessors = [graph.describe(f, where) for f in (member.fget, member.fset, member.fdel)]
        return ["property", graph.refer(type(member)), accessors]
    if isinstance(member, (MemberDescriptorType, GetSetDescriptorType)):
        return ["slot"]
    if isinstance(member, partialmethod):
        return ["partialmethod", graph.describe(partial(member.func, *member.args, **member.keywords), where)]
    if isinstance(member, singledispatchmethod):
        return ["singledispatchmethod", graph.describe(member.dispatcher, where), graph.describe(member.func, where)]
    if isinstance(member, cached_property):  # besides the function it holds a lock
        return ["cached_property", graph.refer(type(member)), graph.describe(member.func, where)]
    return graph.describe(member, where)


def _is_salted(function: Any) -> bool:
    """Tell whether attrs wrote this ``__hash__``, with a constant that the hash seed decides."""
    return isinstance(function, FunctionType) and function.__code__.co_filename.startswith("<attrs generated")


def _field_contents(graph: Graph, fields: Any, where: str) -> list[object]:
    """Return what a dataclass reads of its fields; their types are annotations."""
    flags = ("init", "repr", "hash", "compare", "kw_only")
    describe: Callable[[object], object] = lambda v: (  # noqa: E731
        ["missing"] if type(v).__name__ == "_MISSING_TYPE" else graph.describe(v, where)
    )
    return [
        [name, describe(f.default), describe(f.default_factory), [getattr(f, flag) for flag in flags]]
        for name, f in fields.items()
    ]
