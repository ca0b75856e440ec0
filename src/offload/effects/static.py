"""Which clocks, random generators, environment variables and unwatchable readers a function's code reaches by name."""

from __future__ import annotations

import builtins
import sys
from itertools import pairwise
from types import CodeType, FunctionType, ModuleType
from weakref import WeakKeyDictionary

from offload.effects.static_names import (
    ENVIRONMENT,
    LOOK,
    LOOKS_OF_PATHS,
    PROCESS,
    READER,
    SEEDS,
    SHOWN,
    TELL_APART,
    kind_of,
)
from offload.identity.functions.bytecode import inspect_code
from offload.identity.functions.instructions import Instruction, instructions
from offload.identity.inspection import attribute, is_a

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from offload.identity.functions.bytecode import Read
    from offload.identity.functions.graph import Graph, Node

OF_PATHS = "a method of a path, if it is one"
_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
_NAMES = {"LOAD_GLOBAL", "LOAD_NAME"}  # what they find is looked at by itself
_BETWEEN = {"KW_NAMES", "NOP", "PRECALL", "PUSH_NULL"}

Found = dict[str, str]

_known: WeakKeyDictionary[Graph, Found] = WeakKeyDictionary()
_nodes: WeakKeyDictionary[Graph, dict[str, Node]] = WeakKeyDictionary()


def reached(graph: Graph) -> Found:
    """Return what the project's code in a graph reaches: names, and the kind of each.

    Of the environment, the names of the variables are given where they can be told.
    """
    found = _known.get(graph)
    if found is None:
        found = _known[graph] = _search(graph)
    return found


def chain(graph: Graph, name: str) -> list[str]:
    """Return by which functions and classes, from the root, a name is reached that :func:`reached` tells."""
    node = _first(graph).get(name)
    labels: list[str] = []
    while node is not None:
        labels.insert(0, node.label)
        node = node.via
    return labels


def readers(graph: Graph) -> list[str]:
    """Return what a function reaches that reads files in native code."""
    found = _known.get(graph)
    if found is None:
        found = reached(graph)
    return [name for name, kind in found.items() if kind == READER] if found else []


def _first(graph: Graph) -> dict[str, Node]:
    """Return the first node that reaches each name."""
    reached(graph)
    return _nodes[graph]


def _search(graph: Graph) -> Found:
    found: Found = {}
    seeded: set[str] = set()
    first = _nodes[graph] = {}
    for node in graph.nodes:
        if isinstance(node.subject, FunctionType):
            for name, kind in _found_in(node.subject, seeded).items():
                found[name] = kind
                first.setdefault(name, node)
    return {name: kind for name, kind in found.items() if not (kind == "random" and name.split(".")[0] in seeded)}


def _found_in(function: FunctionType, seeded: set[str] | None = None) -> Found:
    """Return what one function reaches, and add the packages whose generators it seeds."""
    found: Found = {}
    for read in inspect_code(function.__code__).reads:
        name = _full_name(function, read)
        if name is None:
            continue
        last = read.attributes[-1] if read.attributes else read.name
        kind = kind_of(name, None)
        if kind is None and kind_of(name, 0) is not None:  # it depends on how it is called
            kind = kind_of(name, min(_counts(function.__code__, last), default=None))
        if kind == ENVIRONMENT:
            for variable in list(_texts_after(function.__code__, last)) or [name]:
                found[variable] = kind
        elif kind in (LOOK, PROCESS):
            first, _, rest = name.partition(".")
            if function.__name__ not in TELL_APART:
                found[f"{SHOWN.get(first, first)}.{rest}".lstrip(".") + "()"] = kind
        elif kind is not None:
            found[name] = kind
        first = name.partition(".")[0]
        if seeded is not None and SEEDS.get(first) == name and max(_counts(function.__code__, last), default=0):
            seeded.add(first)
    for name in _methods(function.__code__):
        found.setdefault(f"pathlib.Path.{name}()", OF_PATHS)
    return found


def _full_name(function: FunctionType, read: Read) -> str | None:
    """Return the name of what a read finds, from the module that it comes from; None for what is the project's own."""
    value: object
    rest = read.attributes
    if read.kind in ("import", "load"):
        return None if read.level else ".".join((read.name, *rest))
    if read.kind == "free":
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        try:
            value = cells[read.name].cell_contents
        except (KeyError, ValueError):
            return None
    else:
        value = function.__globals__.get(read.name, vars(builtins).get(read.name))
    while rest and is_a(value, ModuleType) and is_a(vars(value).get(rest[0]), ModuleType):
        value, rest = vars(value)[rest[0]], rest[1:]
    if is_a(value, ModuleType):
        name = value.__name__
    elif _is_path(value):
        name = "pathlib.Path"
    elif type(value).__name__ == "_Environ":
        name = "os.environ"
    elif callable(value) and isinstance(qualname := attribute(value, "__qualname__"), str):
        owner = attribute(value, "__self__")
        module = attribute(value, "__module__") or (owner is not None and type(owner).__module__)
        if not isinstance(module, str):
            return None
        name = f"{module.lstrip('_').replace('pathlib._local', 'pathlib')}.{qualname}"
    else:
        return None
    return ".".join((name, *rest))


def holds_path(values: Iterable[object]) -> bool:
    """Tell whether one of some values is a path."""
    return any(map(_is_path, values))


def _is_path(value: object) -> bool:
    pathlib = sys.modules.get("pathlib")
    return pathlib is not None and is_a(value, pathlib.PurePath)


def _methods(code: CodeType) -> Iterator[str]:
    """Yield the methods that code calls of local values and of what it has just made, as far as paths have such."""
    found = [i for i in instructions(code) if i.opname not in _BETWEEN]
    imported = {
        after.argval
        for before, after in pairwise(found)
        if before.opname.startswith("IMPORT_") and after.opname.startswith("STORE")
    }
    for index, instruction in enumerate(found):
        if instruction.argval in LOOKS_OF_PATHS and instruction.opname in _ATTRIBUTE:
            root = next(i for i in reversed(found[:index]) if i.opname not in _ATTRIBUTE)
            looked_up = root.opname in _NAMES or (root.opname == "LOAD_DEREF" and root.argval in code.co_freevars)
            if not looked_up and root.argval not in imported:
                yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _methods(constant)


def _uses(code: CodeType, name: str) -> Iterator[list[Instruction]]:
    """Yield the few instructions after each use of a name."""
    found = [i for i in instructions(code) if i.opname not in _BETWEEN]
    for index, instruction in enumerate(found):
        if instruction.argval == name and instruction.opname.startswith("LOAD"):
            yield found[index + 1 : index + 4]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _uses(constant, name)


def _counts(code: CodeType, name: str) -> list[int]:
    """Return with how many arguments something is called, where these are none or constants."""
    counts = []
    for after in _uses(code, name):
        for given, instruction in enumerate(after):
            if instruction.opname.startswith("CALL"):
                counts.append(given)
                break
            if not instruction.opname.startswith("LOAD"):
                break
        else:
            counts.append(len(after))
    return counts


def _texts_after(code: CodeType, name: str) -> Iterator[str]:
    for after in _uses(code, name):
        for instruction in after[:2]:
            if instruction.opname == "LOAD_CONST" and isinstance(instruction.argval, str):
                yield instruction.argval
                break
