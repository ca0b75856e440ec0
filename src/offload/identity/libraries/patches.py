"""What the project has put into libraries: methods and accessors of their classes, values in their classes and modules.

Code reaches them by an attribute of whatever it is given, so they are found by the names in it: members of these names
are looked for in all classes of libraries that are there. In the classes of libraries that the code reaches, all
members are looked at. Plain values cannot be told from a library's own: for these, the project's code is looked through
for assignments.
"""

from __future__ import annotations

import opcode
import sys
from types import CodeType, ModuleType

from offload.errors import IdentityError
from offload.identity.functions.instructions import instructions
from offload.identity.functions.state_checks import MISSING
from offload.identity.inspection import module_of
from offload.identity.libraries.added_members import Members, is_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from offload.identity.functions.graph import Graph

    Owner = type | ModuleType
    Put = tuple[Owner, str]

_ROOTS = {"LOAD_NAME", "LOAD_GLOBAL"}
_STEPS = {"LOAD_ATTR", "LOAD_METHOD"}
_BETWEEN = {"PUSH_NULL", "NOP"}
_STORE_ATTR = opcode.opmap["STORE_ATTR"]

_classes = Members()
_assigned: set[tuple[str, str, str]] = set()  # module, qualified name, attribute
_owners: dict[str, list[type]] = {}  # classes that have had values assigned, by the attribute
_modules: tuple[int, ...] = ()  # those that were there when assignments were looked for,
_looked_through: dict[str, int] = {}  # by their names
_given: dict[str, list[type]] = {}  # put here for a function that came from another process


class Patches:
    """Adds to a graph what the names in its code lead to in the classes of libraries."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._added: set[tuple[int, str]] = set()
        self._names: set[str] = set()
        self._packages: set[str] = set()

    def add(self) -> None:
        """Add what the names met so far lead to, and is not there yet."""
        names, packages = self.graph.names - self._names, self.graph.outside - self._packages
        if not names and not packages:
            return
        self._names |= names
        self._packages |= packages
        _classes.look()
        found = list(_classes.named(names))
        found += [put for put in _classes.within(packages) if _replaces(*put)]
        for place in (_assigned_now(), _given):
            for name, owners in place.items():
                found += [(one, name) for one in owners if name in names or self._is_replaced(one, name)]
        for owner, name in sorted(found, key=_put_name):
            self._add(owner, name)

    def _is_replaced(self, owner: type, name: str) -> bool:
        return module_of(owner).partition(".")[0] in self.graph.outside and _replaces(owner, name)

    def _add(self, owner: type, name: str) -> None:
        from offload.identity.functions.classes import member_contents

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


def _assigned_now() -> dict[str, list[type]]:
    global _modules
    modules = tuple(map(id, list(sys.modules.values())))
    if modules == _modules:
        return _owners
    _modules = modules
    for name, module in list(sys.modules.items()):
        if _looked_through.get(name) == id(module) or not isinstance(module, ModuleType):
            continue
        _looked_through[name] = id(module)
        if name == "__main__" or is_project(name):
            _look_through(module)
    return _owners


def _look_through(module: ModuleType) -> None:
    code = _code(module)
    for owner, name in _assignments(code, vars(module)) if code is not None else ():
        what = (owner.__name__, "") if isinstance(owner, ModuleType) else (owner.__module__, owner.__qualname__)
        if is_project(what[0]) or (*what, name) in _assigned:
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
    # Most code assigns nothing, or to `self`.
    assigns = _STORE_ATTR in code.co_code[::2] or "setattr" in code.co_names
    rooted = assigns and any(isinstance(names.get(name), type | ModuleType) for name in code.co_names)
    steps = [one for one in instructions(code) if one.opname not in _BETWEEN] if rooted else []
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
