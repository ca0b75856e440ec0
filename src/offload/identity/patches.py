"""What the project has put into libraries: methods and accessors of their classes, values in their classes and modules.

Code reaches them by an attribute of whatever it is given, so they are found by the names in it. Members of classes are
looked for in all classes of libraries that are there, once for each set of loaded modules; that takes some
milliseconds. Plain values cannot be told from a library's own: for these, the project's code is looked through for
assignments.
"""

from __future__ import annotations

import sys
from functools import cached_property
from types import CellType, CodeType, FunctionType, MethodType, ModuleType

from offload.errors import IdentityError
from offload.identity.checks import MISSING
from offload.identity.distributions import OWN, PROJECT, origin
from offload.identity.instructions import instructions
from offload.identity.quiet import attributes, is_a, module_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from offload.identity.graph import Graph

    Owner = type | ModuleType
    Put = tuple[Owner, str]

_ROOTS = {"LOAD_NAME", "LOAD_GLOBAL"}
_STEPS = {"LOAD_ATTR", "LOAD_METHOD"}
_BETWEEN = {"PUSH_NULL", "NOP"}

_projects: dict[tuple[str, str], bool] = {}  # by the first part of a module's name, and its file
_known_globals: dict[int, tuple[Mapping[str, Any], bool]] = {}
_scanned: list[tuple[Mapping[str, Any], int]] = []  # the members of each class, and how many there were
_modules = -1  # how many were loaded when the classes were looked through
_members: dict[str, list[type]] = {}  # members of libraries' classes that are the project's
_assigned: set[tuple[str, str, str]] = set()  # module, qualified name, attribute
_owners: dict[str, list[type]] = {}  # classes that have had values assigned, by the attribute
_looked_through: dict[str, int] = {}  # project's modules, with what they were
_given: dict[str, list[type]] = {}  # put here for a function that came from another process


class Patches:
    """Adds to a graph what the names in its code lead to in the classes of libraries."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._added: set[tuple[int, str]] = set()
        self._asked: set[str] = set()

    def add(self) -> None:
        """Add what the names met so far lead to, and is not there yet."""
        new = self.graph.names - self._asked
        self._asked |= new
        found = [
            (owner, name)
            for place in (_members_now(), _assigned_now(), _given)
            for name, owners in place.items()
            for owner in owners
            if name in new or (module_of(owner).partition(".")[0] in self.graph.outside and _replaces(owner, name))
        ]
        for owner, name in sorted(found, key=_put_name):
            self._add(owner, name)

    def _add(self, owner: type, name: str) -> None:
        from offload.identity.classes import member_contents

        if (id(owner), name) in self._added:
            return
        self._added.add((id(owner), name))
        graph, where = self.graph, _put_name((owner, name))
        member = graph.look(vars(owner), name)
        if member is MISSING:
            return
        try:
            found = member_contents(graph, member, where)
        except IdentityError:  # an open file, perhaps, that nobody has put there for this code
            found = ["unknown", type(member).__qualname__]
        graph.leaf("member", where, [where, found])
        graph.puts.append((owner, name))


def is_assigned(module: ModuleType, name: str) -> bool:
    """Tell whether the project's code assigns a variable of a library's module."""
    _assigned_now()
    return (module.__name__, "", name) in _assigned


def give(puts: Iterable[tuple[Owner, str, object]]) -> None:
    """Put into libraries what the project has put there in the process that a function comes from."""
    for owner, name, value in puts:
        if vars(owner).get(name) is not value:
            setattr(owner, name, value)
        if isinstance(owner, ModuleType):
            _assigned.add((owner.__name__, "", name))
        elif owner not in _given.setdefault(name, []):
            _given[name].append(owner)


def _put_name(put: tuple[type, str]) -> str:
    return f"{module_of(put[0])}.{put[0].__qualname__}.{put[1]}"


_known_bodies: dict[type, frozenset[str]] = {}


def _replaces(cls: type, name: str) -> bool:
    """Tell whether a member stands in the place of one that a library's class has by itself, and may ask for."""
    if any(name in vars(base) for base in cls.__mro__[1:]):
        return True
    if cls not in _known_bodies:
        code = _code(sys.modules.get(module_of(cls)))
        for part in cls.__qualname__.split("."):
            inner = (one for one in (code.co_consts if code is not None else ()) if isinstance(one, CodeType))
            code = next((one for one in inner if one.co_name == part), None)
        _known_bodies[cls] = frozenset(code.co_names if code is not None else ())
    return name in _known_bodies[cls]


def _is_project(module: object) -> bool:
    """Tell whether a module is the project's, by the package that it lies in."""
    top = module.partition(".")[0] if isinstance(module, str) else ""
    found = sys.modules.get(top)
    if found is None:  # what a library makes by `exec` gives itself any name: a named tuple, for example
        return False
    file = getattr(found, "__file__", None) or ""
    known = _projects.get((top, file))
    if known is None:
        # To find out whose a file in a site directory is may take many milliseconds, and nearly all are libraries'.
        installed = "site-packages" in file or "dist-packages" in file
        known = not installed and top not in sys.stdlib_module_names and top != OWN and origin(top) == PROJECT
        _projects[top, file] = known
    return known


# Members of classes --------------------------------------------------------------------------------------


def _members_now() -> dict[str, list[type]]:
    global _modules
    if len(sys.modules) != _modules or any(len(members) != count for members, count in _scanned):
        _modules = len(sys.modules)
        _scanned.clear()
        _members.clear()
        for cls in _classes():
            members = vars(cls)
            _scanned.append((members, len(members)))
            for name, member in members.items():
                if not _KINDS.get(type(member), _unknown)(member):
                    continue
                _members.setdefault(name, []).append(cls)
    return _members


def _classes() -> Iterator[type]:
    """Yield all classes of libraries that are there."""
    cls: type
    seen: set[type] = {object}
    waiting: list[type] = [object]
    while waiting:
        for cls in type.__subclasses__(waiting.pop()):
            if cls not in seen:
                seen.add(cls)
                waiting.append(cls)
                if not _is_project(module_of(cls)) and "__module__" in vars(cls):
                    yield cls


def _plain(member: Any) -> bool:
    return False


def _function(member: FunctionType) -> bool:
    """Tell whether a function is the project's, or a library's that wraps one."""
    names = member.__globals__
    known = _known_globals.get(id(names))
    if known is None:
        known = _known_globals[id(names)] = names, _is_project(names.get("__name__"))
    return known[1] or (member.__closure__ is not None and any(map(_held, member.__closure__)))


def _held(cell: CellType) -> bool:
    try:
        return _is_ours(cell.cell_contents)
    except ValueError:
        return False


def _is_ours(value: Any) -> bool:
    if is_a(value, FunctionType):
        return _is_project(value.__globals__.get("__name__"))
    return _is_project(module_of(value if is_a(value, type) else type(value)))


def _method(member: Any) -> bool:
    function = member.__func__
    return _function(function) if type(function) is FunctionType else _is_ours(function)


def _property(member: property) -> bool:
    return any(type(one) is FunctionType and _function(one) for one in (member.fget, member.fset, member.fdel))


def _unknown(member: Any) -> bool:
    """Tell whether an object is of a class of the project's, or holds what is the project's: an accessor."""
    kind = type(member)
    if is_a(member, type):
        return _is_project(module_of(member))
    if kind.__module__ == "builtins" or (kind.__dictoffset__ == 0 and not hasattr(kind, "__slots__")):
        _KINDS[kind] = _plain
        return False
    if _is_project(module_of(kind)):
        return True
    held = [*(attributes(member) or {}).values()]
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        held += [getattr(member, name, None) for name in names if name not in ("__dict__", "__weakref__")]
    return any(issubclass(type(one), (FunctionType, type)) and _is_ours(one) for one in held)


_KINDS: dict[type, Any] = {
    FunctionType: _function,
    property: _property,
    staticmethod: _method,
    classmethod: _method,
    MethodType: _method,
    cached_property: lambda member: _is_ours(member.func),
    **dict.fromkeys((str, bytes, int, float, bool, tuple, list, dict, set, frozenset, type(None)), _plain),
}


# Assignments ---------------------------------------------------------------------------------------------


def _assigned_now() -> dict[str, list[type]]:
    for name, module in list(sys.modules.items()):
        if _looked_through.get(name) == id(module) or not isinstance(module, ModuleType):
            continue
        _looked_through[name] = id(module)
        if name == "__main__" or _is_project(name):
            _look_through(module)
    return _owners


def _look_through(module: ModuleType) -> None:
    code = _code(module)
    for owner, name in _assignments(code, vars(module)) if code is not None else ():
        what = (owner.__name__, "") if isinstance(owner, ModuleType) else (owner.__module__, owner.__qualname__)
        if _is_project(what[0]) or (*what, name) in _assigned:
            continue
        _assigned.add((*what, name))
        if isinstance(owner, type):
            _owners.setdefault(name, []).append(owner)


def _code(module: Any) -> CodeType | None:
    """Return the code of a module, if it is to be had."""
    spec, file = getattr(module, "__spec__", None), getattr(module, "__file__", None)
    try:
        if spec is not None and module.__name__ == spec.name:
            found = spec.loader.get_code(spec.name)
            return found if isinstance(found, CodeType) else None
        if not file or not file.endswith(".py"):
            return None
        with open(file, "rb") as text:
            return compile(text.read(), file, "exec", dont_inherit=True)
    except Exception:  # whatever a loader may raise, or what is on disk by now
        return None


def _assignments(code: CodeType, names: Mapping[str, Any]) -> Iterator[Put]:
    """Yield the classes and modules of which code assigns attributes, with these."""
    steps = [one for one in instructions(code) if one.opname not in _BETWEEN]
    for index, one in enumerate(steps):
        if one.opname == "STORE_ATTR":
            attributes: list[str] = []
            at = index - 1
            while at > 0 and steps[at].opname in _STEPS:
                attributes.insert(0, steps[at].argval)
                at -= 1
            owner = _found(names, steps[at].argval, attributes) if steps[at].opname in _ROOTS else None
            name = one.argval
        elif one.argval == "setattr" and one.opname in _ROOTS and len(steps) > index + 2:
            at, attributes = index + 2, []
            while at < len(steps) and steps[at].opname in _STEPS:
                attributes.append(steps[at].argval)
                at += 1
            root, name = steps[index + 1], steps[at].argval if at < len(steps) else None
            owner = _found(names, root.argval, attributes) if root.opname in _ROOTS else None
        else:
            continue
        if isinstance(owner, type | ModuleType) and isinstance(name, str):
            yield owner, name
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _assignments(constant, names)


def _found(names: Mapping[str, Any], root: str, attributes: Iterable[str]) -> object:
    found = names.get(root)
    for attribute in attributes:
        if not isinstance(found, type | ModuleType):
            return None
        found = vars(found).get(attribute)
    return found
