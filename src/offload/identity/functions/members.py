"""What counts of each kind of node: a function's code and reads, a module's names; for classes see ``classes``."""

from __future__ import annotations

import importlib
import re
import sys
from types import BuiltinFunctionType, FunctionType, ModuleType

from offload.errors import IdentityError
from offload.identity.functions.argmap import rewrites_itself, source_contents
from offload.identity.functions.bytecode import Read, inspect_code
from offload.identity.functions.classes import class_contents, is_made_here, is_of_project, strangers
from offload.identity.functions.dynamic import external_path, imports_by_name, magic, unfollowed
from offload.identity.functions.graph import Graph, Node
from offload.identity.functions.graph_state import Held
from offload.identity.functions.names_in_strings import looks_up, strings_in
from offload.identity.functions.state_checks import MISSING
from offload.identity.ignored import IGNORED, is_ignored_read
from offload.identity.inspection import attributes, is_a, module_of
from offload.identity.libraries import extension_modules
from offload.identity.libraries.distributions import PROJECT, origin, owner
from offload.identity.libraries.django import is_settings, loaded
from offload.identity.libraries.entry_points import ASKING, entry_points_of
from offload.identity.libraries.patches import is_assigned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

# What the import system puts into a module, and what is not read when code uses it.
_MODULE_NOISE = {
    "__all__", "__annotate__", "__annotations__", "__builtins__", "__cached__", "__conditional_annotations__",
    "__doc__", "__file__", "__loader__", "__name__", "__package__", "__path__", "__spec__", "__warningregistry__",
}  # fmt: skip
_TEXTS = (str, list, tuple, dict)  # in which names may stand
_MODULE = re.compile(r"\.*[^\W\d]\w*(?:[.:][^\W\d]\w*)*").fullmatch


def reference(graph: Graph, value: object) -> object:
    """Return the reference to a function, class or module: a node for the project's, a name for the others."""
    if is_a(value, ModuleType):
        return _module_reference(graph, value)
    if type(value) is FunctionType:
        name = value.__globals__.get("__name__")
        if owner(graph, name) == PROJECT:
            return graph.number("function", value, f"{name}:{value.__qualname__}")
        if is_at(value, name, value.__qualname__):
            return ["external", name, value.__qualname__]
        return _made_elsewhere(graph, value)
    if is_a(value, type):
        module = module_of(value)
        # A class that is not where it says was made by a library, of what the project gave to it.
        made = not is_at(value, module, value.__qualname__) and is_made_here(value)
        if owner(graph, module) == PROJECT or made:
            return graph.number("class", value, f"{module}:{value.__qualname__}")
        graph.note_external([module])
        return ["external", module, value.__qualname__, *strangers(graph, value)]
    if isinstance(value, BuiltinFunctionType):
        bound_to = value.__self__
        if bound_to is None or isinstance(bound_to, ModuleType):
            module = value.__module__ or "builtins"
            if owner(graph, module) == PROJECT and module in sys.modules:
                return ["member", _module_reference(graph, sys.modules[module]), value.__qualname__]
            return ["external", module, value.__qualname__]
        return ["method", value.__name__, graph.describe_owner(bound_to, value.__qualname__)]
    raise IdentityError(f"a {type(value).__qualname__} cannot be referred to")


def contents(graph: Graph, node: Node) -> list[object]:
    """Return what counts of a node."""
    subject = node.subject
    if isinstance(subject, FunctionType):
        return _function_contents(graph, subject, node.label)
    if isinstance(subject, type):
        return class_contents(graph, subject, node.label)
    assert isinstance(subject, ModuleType)
    return _module_contents(graph, subject)


def is_at(value: object, module_name: str | None, qualname: str) -> bool:
    """Tell whether a class or function is what its module and name say, so that these stand for it."""
    found: object = sys.modules.get(module_name or "")
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found is value


def _made_elsewhere(graph: Graph, function: FunctionType) -> object:
    """Return what stands for a function that a library made: a wrapper of the project's functions, perhaps."""
    label = function.__qualname__
    registry = function.__dict__.get("registry")
    if function.__globals__["__name__"] == "functools" and registry is not None:
        # A singledispatch function, whose cells hold a cache.
        graph.measure(registry)
        classes = sorted(registry, key=lambda cls: (cls.__qualname__, cls.__module__))
        return ["dispatch", [[graph.refer(cls), graph.describe(graph.look(registry, cls), label)] for cls in classes]]
    with graph.within(function) as number:
        if number is not None:
            return ["again", number]
        graph.watch(function)
        cells = [graph.describe(graph.look_in(cell), label) for cell in function.__closure__ or ()]
        defaults = [graph.describe(default, label) for default in function.__defaults__ or ()]
        keywords = [[name, graph.describe(d, label)] for name, d in (function.__kwdefaults__ or {}).items()]
        wrapped = graph.describe(function.__dict__.get("__wrapped__", MISSING), label)
    code = inspect_code(function.__code__).digest  # which of the library's nameless functions it is
    return ["made", code, cells, defaults, keywords, wrapped]


def _function_contents(graph: Graph, function: FunctionType, label: str) -> list[object]:
    if rewrites_itself(function):
        return source_contents(graph, function, label)
    graph.watch(function)
    code = inspect_code(function.__code__)
    graph.names |= code.names
    graph.measure(function.__dict__)  # for what is asked of it later
    defaults = [graph.describe(d, f"{label}: a default") for d in function.__defaults__ or ()]
    given = function.__kwdefaults__ or {}
    keywords = [[name, graph.describe(graph.look(given, name), f"{label}: a default")] for name in given]
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    reads = []
    importing = False
    plugins: list[str] = []
    values: list[object] = [code.constants, function.__defaults__, function.__kwdefaults__]
    for read in code.reads:
        name = ".".join((read.name, *read.attributes))
        found = _read(graph, function, cells, read, f"{label}: {name}", values)
        if (what := magic(code, read)) is not None:
            graph.unfollowed.setdefault(label, []).append(what)
        path = external_path(read, found)
        if path is not None:
            graph.note_external(path)
            importing |= imports_by_name(read, path)
            if (what := unfollowed(code, read, path)) is not None:
                asks = what.rpartition(".")[2] in ASKING
                (plugins if asks else graph.unfollowed.setdefault(label, [])).append(what)
        reads.append([read.kind, name, found])
    texts = dict.fromkeys(text for value in values if value for text in strings_in(value))
    if texts or looks_up(code.names):
        assert graph._at is not None
        graph.texts.append((graph._at, function, list(texts)))
    if plugins:
        points = entry_points_of(texts)
        reads += [["plugin", " ".join(point), _named_module(graph, function, point[2], label)] for point in points]
        if not points:  # of what group, the code does not show
            graph.unfollowed.setdefault(label, []).extend(plugins)
    if importing:
        reads += [["named", text, _named_module(graph, function, text, label)] for text in texts if _MODULE(text)]
    return [code.digest, defaults, keywords, reads]


def _named_module(graph: Graph, function: FunctionType, text: str, label: str) -> object:
    """Return what stands for a module, or what is in one, that a text may name."""
    path = text.lstrip(".")
    first, *rest = path.replace(":", ".").split(".")
    return read_from(graph, function, Read("import", first, tuple(rest), len(text) - len(path)), f"{label}: {text}")


def read_from(graph: Graph, function: FunctionType, read: Read, where: str) -> object:
    """Return what stands for what a read finds by the globals of a function."""
    return _read(graph, function, {}, read, where, [])


def _read(
    graph: Graph, function: FunctionType, cells: dict[str, Any], read: Read, where: str, values: list[object]
) -> object:
    """Return what stands for what a read finds, following attributes through the project's modules and functions."""
    if graph.ignored and is_ignored_read(graph, function, cells, read):
        return IGNORED
    if read.kind == "free":
        value = graph.look_in(cells[read.name])
    elif read.kind == "global":
        value = graph.look(function.__globals__, read.name)
        if value is MISSING:
            # As the interpreter does: the builtins of these globals come after them.
            anything: Any = function
            value = graph.look(anything.__builtins__, read.name)
    else:
        name = _absolute(function, read)
        if owner(graph, name) != PROJECT:  # perhaps not loaded yet, and not needed to recall
            ours = _put_there(graph, sys.modules.get(name), read.attributes)
            return ["external", name] if ours is None else graph.describe(ours, where)
        value = _imported(graph, name)
        if read.kind == "load" and value is not MISSING:
            return None
    for index, attribute in enumerate(read.attributes):
        if is_a(value, ModuleType) and attribute == "__dict__":
            break  # all of the module counts
        if is_a(value, ModuleType) and owner(graph, value.__name__) == PROJECT:
            found = graph.look(vars(value), attribute)
            if found is MISSING:
                found = graph.ask(Held.attribute, value, attribute).value
            if found is MISSING and read.kind == "import":
                found = _imported(graph, f"{value.__name__}.{attribute}")
            value = found
        elif type(value) is FunctionType and attribute in value.__dict__:
            value = graph.look(value.__dict__, attribute)
        elif is_settings(value):
            held = attributes(graph.look(loaded(value), "_wrapped")) or {}
            if attribute not in held:  # of a default, or a method: all of the settings count
                break
            value = graph.look(held, attribute)
        elif is_a(value, ModuleType):
            ours = _put_there(graph, value, read.attributes[index:])
            value = value if ours is None else ours
            break
        else:
            break
    if type(value) in _TEXTS:
        values.append(value)
    return graph.describe(value, where)


def _put_there(graph: Graph, module: object, attributes: Iterable[str]) -> object:
    """Return what the project has put into a library, a function or class in the place of its own, or settings."""
    for attribute in attributes:
        if not is_a(module, ModuleType):
            return None
        found = graph.look(vars(module), attribute)
        if is_settings(found):
            return found
        if found is not MISSING and is_assigned(module, attribute):
            graph.puts.append((module, attribute))
            return found
        if type(found) is FunctionType:
            return found if is_of_project(found) or _has_registered(graph, found) else None
        if is_a(found, type):
            return found if origin(module_of(found)) == PROJECT or list(strangers(graph, found)) else None
        module = found
    return None


def _has_registered(graph: Graph, function: FunctionType) -> bool:
    """Tell whether the project has registered functions with a library's singledispatch function."""
    registry = function.__dict__.get("registry")
    if registry is None or function.__globals__.get("__name__") != "functools":
        return False
    graph.measure(registry)
    return any(isinstance(one, FunctionType) and is_of_project(one) for one in registry.values())


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
        loaded = len(sys.modules)
        try:
            importlib.import_module(name)
        except Exception:  # whatever its code may raise: the call meets the same, and may well catch it
            return MISSING
        finally:
            graph.imports |= len(sys.modules) != loaded
    return graph.look(sys.modules, name)


def _module_reference(graph: Graph, module: ModuleType) -> object:
    name = module.__name__
    if owner(graph, name) == PROJECT:
        return graph.number("module", module, name)
    return ["external", name]


def _module_contents(graph: Graph, module: ModuleType) -> list[object]:
    file = getattr(module, "__file__", None)
    if file and file.endswith(extension_modules.SUFFIXES):
        from offload.identity.files import file_checksum

        extension_modules.check(module.__name__, file)
        return ["extension", file_checksum(file), *extension_modules.linked(file, file_checksum)]
    members: list[object] = []
    graph.measure_members(module)
    if type(module) is not ModuleType:  # it has put a class of its own in its place
        members.append(["__class__", graph.refer(type(module))])
    for name in sorted(vars(module)):
        if name not in _MODULE_NOISE:
            members.append([name, graph.describe(graph.look(vars(module), name), f"{module.__name__}.{name}")])
    return members
