"""What counts of each kind of node: a function's code and reads, a class's members, a module's names."""

from __future__ import annotations

import builtins
import importlib
import sys
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
_EXTENSIONS = (".so", ".pyd", ".dylib")


def reference(graph: Graph, value: object) -> object:
    """Return the reference to a function, class or module: a node for the project's, a name for the others."""
    if isinstance(value, ModuleType):
        return _module_reference(graph, value)
    if isinstance(value, FunctionType):
        name = value.__globals__.get("__name__")
        if _whose(graph, name) == PROJECT:
            return graph.number("function", value, f"{name}:{value.__qualname__}")
        if value.__closure__ or value.__dict__.get("__wrapped__"):
            # A library's wrapper: the library counts by its version, what it wraps may be the project's.
            cells = [graph.describe(graph.look_in(c), value.__qualname__) for c in value.__closure__ or ()]
            wrapped = graph.describe(value.__dict__.get("__wrapped__", MISSING), value.__qualname__)
            return ["wrapper", name, value.__qualname__, cells, wrapped]
        return ["external", name, value.__qualname__]
    if isinstance(value, type):
        if _whose(graph, value.__module__) == PROJECT:
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


def _whose(graph: Graph, module_name: str | None) -> str:
    where = origin(module_name)
    if where not in (PROJECT, STANDARD):
        assert module_name is not None
        graph.modules.add(module_name.partition(".")[0])
    return where


def _function_contents(graph: Graph, function: FunctionType, label: str) -> list[object]:
    graph.watch(function)
    code = inspect_code(function.__code__)
    defaults = [graph.describe(d, f"{label}: a default") for d in function.__defaults__ or ()]
    keywords = [[name, graph.describe(d, f"{label}: a default")] for name, d in (function.__kwdefaults__ or {}).items()]
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    reads = []
    for read in code.reads:
        name = ".".join((read.name, *read.attributes))
        value = _read(graph, function, cells, read)
        reads.append([read.kind, name, graph.describe(value, f"{label}: {name}")])
    return [code.normal, defaults, keywords, reads]


def _read(graph: Graph, function: FunctionType, cells: dict[str, Any], read: Read) -> object:
    """Return what a read finds, following attributes as far as they lead through the project's modules."""
    if read.kind == "free":
        value = graph.look_in(cells[read.name])
    elif read.kind == "global":
        value = graph.look(function.__globals__, read.name)
        if value is MISSING:
            # As the interpreter does: builtins come after globals.
            value = getattr(builtins, read.name, MISSING)
    else:
        value = _imported(function, read)
        if read.kind == "load":
            if isinstance(value, ModuleType):
                _whose(graph, value.__name__)
            return None
    for attribute in read.attributes:
        if not isinstance(value, ModuleType) or _whose(graph, value.__name__) != PROJECT:
            break
        found = graph.look(vars(value), attribute)
        if found is MISSING:
            found = getattr(value, attribute, MISSING)
        value = found
    return value


def _imported(function: FunctionType, read: Read) -> object:
    """Return the module that an import inside the function gives; the project's are imported, as the call would."""
    name = read.name
    if read.level:
        package = function.__globals__.get("__package__") or function.__globals__.get("__name__", "").rpartition(".")[0]
        base = package.rsplit(".", read.level - 1)[0] if read.level > 1 else package
        name = f"{base}.{name}" if name else base
    if name in sys.modules:
        return sys.modules[name]
    try:
        return importlib.import_module(name)
    except ImportError:
        return MISSING


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
    for name in sorted(vars(module)):
        if not (name.startswith("__") and name.endswith("__")):
            members.append([name, graph.describe(graph.look(vars(module), name), f"{module.__name__}.{name}")])
    return members


def _class_contents(graph: Graph, cls: type, label: str) -> list[object]:
    bases = [graph.refer(base) for base in cls.__bases__]
    meta = graph.refer(type(cls))
    members: list[object] = []
    enumeration = "_member_map_" in vars(cls)
    if enumeration:
        members.append([[name, graph.describe(m._value_, label)] for name, m in vars(cls)["_member_map_"].items()])
    for name in sorted(vars(cls)):
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
    return [cls.__qualname__, bases, meta, members]


def _member(graph: Graph, member: object, where: str) -> object:
    if isinstance(member, (staticmethod, classmethod)):
        return [type(member).__name__, graph.describe(member.__func__, where)]
    if isinstance(member, property):
        return ["property", *(graph.describe(f, where) for f in (member.fget, member.fset, member.fdel))]
    if isinstance(member, (MemberDescriptorType, GetSetDescriptorType)):
        return ["slot"]
    function = getattr(member, "func", None)
    if type(member).__name__ in ("cached_property", "partialmethod", "singledispatchmethod"):
        return [type(member).__name__, graph.describe(function, where)]
    return graph.describe(member, where)


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
