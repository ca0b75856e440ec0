"""Which files a worker needs to see in order to import what a call reaches, by the names that it has here.

What is imported is the thing itself: a class is one class, and not one made from its parts for each call. So whatever
lies in modules with files goes by name, and by value as well, for workers that do not see the same files.
"""

from __future__ import annotations

import ast
import dataclasses
import os
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

from offload.identity.libraries.distributions import PROJECT, origin

MAIN = "__main__"


@dataclasses.dataclass(frozen=True, slots=True)
class Script:
    """A program whose definitions can be had without running it: it tells them apart by ``__name__``.

    Attributes
    ----------
    path : str
        Its file.
    package : str or None
        Where its relative imports begin, for one that was started by ``python -m``.
    """

    path: str
    package: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Sources:
    """Files that are imported.

    Attributes
    ----------
    roots : tuple of str
        Directories in which imports of the program begin, in their order.
    files : dict
        The checksum of each file.
    script : Script or None
        The program, where something of it is reached.
    instead : tuple of (str, str)
        Modules that the program has in the place of libraries of the same names, and below which root.
    """

    roots: tuple[str, ...] = ()
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    script: Script | None = None
    instead: tuple[tuple[str, str], ...] = ()

    def __or__(self, other: Sources) -> Sources:
        roots = tuple(dict.fromkeys((*self.roots, *other.roots)))
        instead = tuple(dict.fromkeys((*self.instead, *other.instead)))
        return Sources(roots, {**self.files, **other.files}, self.script or other.script, instead)

    def __bool__(self) -> bool:
        return bool(self.files)


class Found:
    """Gathers what is needed for all that goes by name in one message.

    Parameters
    ----------
    checked : bool
        Whether what goes by name has no identity but by itself, as the classes of arguments have.

    Attributes
    ----------
    sources : Sources
        The files.
    named : dict
        The checksum of each class and function, by module and qualified name, where they are `checked`.
    """

    def __init__(self, checked: bool = False) -> None:
        self._checked = checked
        self.sources = Sources()
        self.named: dict[tuple[str, str], str] = {}
        self._known: dict[str, bool] = {}

    def notes(self, value: object, module: str, qualname: str) -> bool:
        """Tell whether a class or function may go by name; take note of what it is."""
        from offload.errors import EncodeError, IdentityError
        from offload.identity.functions.identify import closure

        if not self.takes(module):
            return False
        if self._checked and (module, qualname) not in self.named:
            try:
                self.named[module, qualname] = closure(value).checksum
            except (EncodeError, IdentityError):
                return False
        return True

    def takes(self, module: str) -> bool:
        """Tell whether a module of the project can be imported where its file is seen; take note of the file."""
        known = self._known.get(module)
        if known is None:
            sources = sources_of(module)
            known = self._known[module] = sources is not None
            if sources is not None:
                self.sources = Sources(roots(), instead=instead()) | self.sources | sources
        return known


_roots: tuple[int, tuple[str, ...], tuple[tuple[str, str], ...]] = (0, (), ())


def roots() -> tuple[str, ...]:
    """Return where the imports of this program's own modules begin, all of them: two programs are told apart by it."""
    return _looked()[1]


def instead() -> tuple[tuple[str, str], ...]:
    """Return which of this program's own modules have the names of libraries, and below which root they lie."""
    return _looked()[2]


def _looked() -> tuple[int, tuple[str, ...], tuple[tuple[str, str], ...]]:
    global _roots
    if _roots[0] != len(sys.modules):
        found = {name: sources.roots[0] for name in list(sys.modules) if (sources := sources_of(name, read=False))}
        order = {path: place for place, path in reversed(list(enumerate(map(os.path.abspath, sys.path))))}
        known = tuple(sorted(set(found.values()), key=lambda root: (order.get(root, len(order)), root)))
        taken = ((name, root) for name, root in found.items() if "." not in name and _is_library(name, root))
        _roots = len(sys.modules), known, tuple(sorted(taken))
    return _roots


@cache
def _is_library(name: str, root: str) -> bool:
    """Tell whether a library would be found by the name of a module that lies below a root."""
    if name in sys.stdlib_module_names:
        return True
    sites = [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages") and path != root]
    return PathFinder.find_spec(name, sites) is not None


def found_at(module: str, qualname: str) -> Any:
    """Return what a module holds under a name; None where it holds nothing."""
    value: Any = sys.modules.get(module)
    for part in qualname.split("."):
        value = getattr(value, part, None)
    return value


def checksum_of(path: str) -> str | None:
    """Return the checksum of a file, which is read only when it has changed; None where it cannot be read."""
    try:
        about = os.stat(path)
        return _checksum(path, about.st_size, about.st_mtime_ns, about.st_ino)
    except OSError:
        return None


@cache
def _checksum(path: str, size: int, modified: int, number: int) -> str:
    with open(path, "rb") as file:
        return sha256(file.read()).hexdigest()


def sources_of(name: str, read: bool = True) -> Sources | None:
    """Return what a module takes; without `read`, only where its imports begin."""
    module = sys.modules.get(name)
    path = getattr(module, "__file__", None)
    if not isinstance(module, ModuleType) or not isinstance(path, str) or origin(name) != PROJECT:
        return None
    path = os.path.abspath(path)
    spec = getattr(module, "__spec__", None)
    if not read:
        root = _root(spec.name, path) if spec is not None else os.path.dirname(path)
        return None if root is None else Sources((root,), {path: ""})
    digest = checksum_of(path)
    if digest is None:
        return None
    if name == MAIN:
        if not path.endswith(".py") or not _is_guarded(path, digest):
            return None
        package = module.__package__ if spec is not None else None
        root = _root(spec.name, path) if spec is not None else os.path.dirname(path)
        return None if root is None else Sources((root,), {path: digest}, Script(path, package))
    root = _root(name, path) if spec is not None and spec.name == name else None
    return None if root is None else Sources((root,), {path: digest})


def _root(name: str, path: str) -> str | None:
    """Return the directory below which a file is the module of this name; None where it is not."""
    directory, file = os.path.split(path)
    *packages, last = name.split(".")
    stem = file.partition(".")[0]
    if stem == "__init__":
        directory, stem = os.path.split(directory)
    if stem == "__main__" and last != stem:  # of a package that was started by ``python -m``
        directory, stem = os.path.split(directory)
    if stem != last:
        return None
    for package in reversed(packages):
        directory, above = os.path.split(directory)
        if above != package:
            return None
    return directory


@cache
def _is_guarded(path: str, digest: str) -> bool:
    try:
        return any(map(is_guard, tree_of(path).body))
    except (SyntaxError, ValueError, OSError):
        return False


def defines(name: str) -> bool:
    """Tell whether the program has a name without being started."""
    path = getattr(sys.modules[MAIN], "__file__", None)
    return isinstance(path, str) and path.endswith(".py") and name in _defined(path, checksum_of(path))


@cache
def _defined(path: str, digest: str | None) -> frozenset[str]:
    try:
        tree = tree_of(path)
        tree.body = [statement for statement in tree.body if not is_guard(statement)]
        return frozenset(compile(tree, path, "exec", dont_inherit=True).co_names)
    except (SyntaxError, ValueError, OSError):
        return frozenset()


def tree_of(path: str) -> ast.Module:
    """Return what a program says."""
    with open(path, "rb") as file:
        return ast.parse(file.read(), path)


def is_guard(statement: ast.stmt) -> bool:
    """Tell whether a statement is ``if __name__ == "__main__"``."""
    if not isinstance(statement, ast.If) or not isinstance(statement.test, ast.Compare):
        return False
    test = statement.test
    sides = [test.left, *test.comparators]
    return (
        len(sides) == 2
        and isinstance(test.ops[0], ast.Eq)
        and any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
        and any(isinstance(side, ast.Constant) and side.value == MAIN for side in sides)
    )


def all_of(many: Iterable[Sources]) -> Sources:
    """Return all files of several."""
    whole = Sources()
    for one in many:
        whole |= one
    return whole
