"""Members of libraries' classes that are the project's: methods, accessors, properties that it has put there.

All classes of libraries are looked for once for each set of loaded modules, which takes some milliseconds. Whose a
member is, is looked at when its name is asked for.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from functools import cached_property
from operator import is_
from types import CellType, FunctionType, MethodType

from offload.identity.functions.state_checks import MISSING
from offload.identity.inspection import attributes, is_a, module_of
from offload.identity.libraries.distributions import OWN, PROJECT, origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    Member = tuple[type, str]

_projects: dict[str, tuple[object, bool]] = {}  # by the first part of a module's name; the module, and whether it is
_known_globals: dict[int, tuple[Mapping[str, Any], bool]] = {}


def is_project(module: object) -> bool:
    """Tell whether a module is the project's, by the package that it lies in."""
    top = module.partition(".")[0] if isinstance(module, str) else ""
    found = sys.modules.get(top)
    if found is None:  # what a library makes by `exec` gives itself any name: a named tuple, for example
        return False
    known = _projects.get(top)
    if known is None or known[0] is not found:
        # To find out whose a file in a site directory is may take many milliseconds, and nearly all are libraries'.
        file = getattr(found, "__file__", None) or ""
        installed = "site-packages" in file or "dist-packages" in file
        ours = not installed and top not in sys.stdlib_module_names and top != OWN and origin(top) == PROJECT
        known = _projects[top] = found, ours
    return known[1]


class Members:
    """The members of all classes of libraries that are there, by their names."""

    def __init__(self) -> None:
        self._modules = -1  # how many were loaded when the classes were looked for
        self._known: set[type] = set()
        self._classes: list[type] = []
        self._mappings: list[Mapping[str, Any]] = []  # of each class,
        self._lengths: list[int] = []  # and how many members there were
        self._named: defaultdict[str, list[type]] = defaultdict(list)
        self._packages: defaultdict[str, list[type]] = defaultdict(list)
        self._scanned: dict[type, tuple[tuple[object, ...], list[str]]] = {}

    def look(self) -> None:
        """Take note of classes that are new, and of new members."""
        if self._modules != len(sys.modules):
            self._modules = len(sys.modules)
            self._look_for_classes()
        if list(map(len, self._mappings)) != self._lengths:
            for index, cls in enumerate(self._classes):
                if len(self._mappings[index]) != self._lengths[index]:
                    self._lengths[index] = len(self._mappings[index])
                    for name in vars(cls):
                        if cls not in self._named[name]:
                            self._named[name].append(cls)

    def named(self, names: set[str]) -> Iterator[Member]:
        """Yield the members of these names that are the project's."""
        for name in names & self._named.keys():
            for cls in self._named[name]:
                member = vars(cls).get(name, MISSING)
                if _is_ours_as_member(member):
                    yield cls, name

    def within(self, packages: Iterable[str]) -> Iterator[Member]:
        """Yield all members of the classes of these packages that are the project's."""
        for package in packages:
            for cls in self._packages.get(package, ()):
                for name in self._all_in(cls):
                    yield cls, name

    def _all_in(self, cls: type) -> list[str]:
        members = vars(cls)
        known = self._scanned.get(cls)
        if known is None or len(known[0]) != len(members) or not all(map(is_, members.values(), known[0])):
            ours = [name for name, member in members.items() if _is_ours_as_member(member)]
            known = self._scanned[cls] = tuple(members.values()), ours
        return known[1]

    def _look_for_classes(self) -> None:
        cls: type
        packages: dict[str, str | None] = {}  # by modules; None for the project's
        seen: set[type] = {object}
        waiting: list[type] = [object]
        while waiting:
            for cls in type.__subclasses__(waiting.pop()):
                if cls in seen:
                    continue
                seen.add(cls)
                waiting.append(cls)
                if cls in self._known or "__module__" not in vars(cls):
                    continue
                module = module_of(cls)
                if module not in packages:
                    packages[module] = None if is_project(module) else module.partition(".")[0]
                package = packages[module]
                if package is not None:
                    self._known.add(cls)
                    self._classes.append(cls)
                    self._mappings.append(vars(cls))
                    self._lengths.append(len(vars(cls)))
                    self._packages[package].append(cls)
                    for name in vars(cls):
                        self._named[name].append(cls)


def _is_ours_as_member(member: object) -> bool:
    return bool(_KINDS.get(type(member), _unknown)(member))


def _plain(member: Any) -> bool:
    return False


def _function(member: FunctionType) -> bool:
    """Tell whether a function is the project's, or a library's that wraps one."""
    names, closure = member.__globals__, member.__closure__
    known = _known_globals.get(id(names))
    if known is None:
        known = _known_globals[id(names)] = names, is_project(names.get("__name__"))
    return known[1] or (closure is not None and any(map(_held, closure)))


def _held(cell: CellType) -> bool:
    try:
        return _is_ours(cell.cell_contents)
    except ValueError:
        return False


def _is_ours(value: Any) -> bool:
    if is_a(value, FunctionType):
        return is_project(value.__globals__.get("__name__"))
    return is_project(module_of(value if is_a(value, type) else type(value)))


def _method(member: Any) -> bool:
    function = member.__func__
    return _function(function) if type(function) is FunctionType else _is_ours(function)


def _property(member: property) -> bool:
    return any(type(one) is FunctionType and _function(one) for one in (member.fget, member.fset, member.fdel))


def _unknown(member: Any) -> bool:
    """Tell whether an object is of a class of the project's, or holds what is the project's: an accessor."""
    kind = type(member)
    if is_a(member, type):
        return is_project(module_of(member))
    if kind.__module__ == "builtins" or (kind.__dictoffset__ == 0 and not hasattr(kind, "__slots__")):
        _KINDS[kind] = _plain
        return False
    if is_project(module_of(kind)):
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
