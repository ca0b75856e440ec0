"""The worker's side of code that goes by name: modules of projects are imported from the files that both sides see.

A process has one version of a project, from which nothing is taken away again. What needs another one goes to a process
that has imported nothing yet; where there is none to go to, as for a call that a call makes, it goes by value.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import os
import sys
import threading
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from offload.identity.origins import is_laid_out
from offload.transport.importing import noted
from offload.transport.modules import withdraw
from offload.transport.sources import MAIN, Script, Sources, checksum_of, is_guard, tree_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from offload.transport.batch import Batch

_lock = threading.RLock()
_roots: tuple[str, ...] | None = None  # where imports of the program in use begin
_before: set[str] | None = None  # the modules there were before the first project
_known = 0  # how many modules there were when they were looked at last
_imported: set[str] = set()  # those that came while a batch was loaded
_loaded: dict[str, str] = {}  # the checksums of the files that were imported
_script: tuple[Script, str] | None = None
_same: set[tuple[str, str, str]] = set()  # what was found to be the same here
_alone = False  # whether this process only works for others


class OtherModulesError(Exception):
    """A batch needs other modules than those that this process has imported.

    Parameters
    ----------
    reason : str
        Which.
    worn : bool
        Whether this process has modules that nobody needs any more: a file, or a call, has changed them.
    """

    def __init__(self, reason: str, worn: bool) -> None:
        super().__init__(reason, worn)
        self.reason = reason
        self.worn = worn


def work_for_others() -> None:
    """Say that this process has no program of its own: all modules of projects that it has came with calls."""
    global _alone
    _alone = True


def program() -> Script | None:
    """Return the program of the user's whose definitions ``__main__`` has here."""
    return _script[0] if _script is not None else None


def is_fresh() -> bool:
    """Tell whether nothing of a project has been imported for a call yet."""
    return _before is None


@contextlib.contextmanager
def using(sources: Sources, lacking: str = "", leaves: bool = False) -> Iterator[str]:
    """Look whether the modules of a project can be imported; yield why not, or nothing.

    Parameters
    ----------
    sources : Sources
        The files.
    lacking : str
        Why they are not to be had here.
    leaves : bool
        Whether there is another process to go to, which has imported nothing.

    Raises
    ------
    OtherModulesError
        If only that one can import them.
    """
    reason = lacking or ("" if sources else "it has no file")
    if not reason and (other := _other(sources)):
        if leaves:
            raise OtherModulesError(*other)
        reason = other[0]
    try:
        yield reason
    finally:
        if not reason:
            with _lock:
                _note()  # what the calls have imported


def differing(named: dict[tuple[str, str], str]) -> str:
    """Return which class or function is another one here than where its checksum was taken, or nothing."""
    from offload.errors import EncodeError, IdentityError
    from offload.identity.functions.identify import closure

    for (module, qualname), digest in named.items():
        if (module, qualname, digest) in _same:
            continue
        try:
            same = closure(attribute(module, qualname)).checksum == digest
        except (EncodeError, IdentityError, AttributeError):
            same = False
        if not same:
            return f"{module}:{qualname}"
        _same.add((module, qualname, digest))
    return ""


def _other(sources: Sources) -> tuple[str, bool] | None:
    """Return why other modules than those that were imported are needed, and whether nobody needs these any more."""
    changed = next((path for path, digest in _loaded.items() if checksum_of(path) != digest), None)
    if changed is not None:
        return f"another version of {changed} was imported", True
    if _roots is not None and not set(_roots).issuperset(sources.roots):
        return "modules of another program were imported", False
    if _before is not None and (library := next(_libraries(sources), None)) is not None:
        return f"another {library} was imported", False
    if sources.script is not None and _script is not None and _script[0] != sources.script:
        return f"{_script[0].path} was imported", False
    return None


def _note() -> None:
    """Take note of the files that were imported since, also by calls."""
    global _known
    if len(sys.modules) == _known:
        return
    _known = len(sys.modules)
    for name, module in _own():
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path not in _loaded:
            _loaded[path] = checksum_of(path) or name


def _own() -> list[tuple[str, ModuleType]]:
    """Return the modules of projects that were imported for calls.

    In a process that only works for others, all that came are: also those that calls have imported.
    """
    from offload.identity.libraries.distributions import PROJECT, origin

    if _before is None:
        return []
    new = [
        (name, module)
        for name, module in list(sys.modules.items())
        if name not in _before and (_alone or name in _imported)
    ]
    return [
        (name, module)
        for name, module in new
        if isinstance(module, ModuleType) and getattr(module, "__file__", None) and origin(name) == PROJECT
    ]


def changed(named: dict[tuple[str, str], str]) -> str:
    """Return which class or function a call has changed, or nothing; it is looked at again before the next call."""
    for name, digest in named.items():
        _same.discard((*name, digest))
    return differing(named)


def prepare(sources: Sources, main: str) -> None:
    """Make a project's modules importable, and the definitions of its program those of ``__main__``.

    Parameters
    ----------
    sources : Sources
        The files.
    main : str
        What ``__main__`` goes by where they come from.

    Raises
    ------
    Exception
        Whatever the program raises where it is imported.
    """
    global _before, _script, _roots
    with _lock:
        if _before is None:
            if _alone:
                _take_the_place_of_libraries(sources)
            _before = set(sys.modules)
        withdraw()
        importlib.invalidate_caches()  # files may be new
        _roots = _roots or sources.roots
        for number, root in enumerate(sources.roots):
            if root not in sys.path:
                # At its end, where a file of the user's takes the place of no library. What was laid out holds only
                # what was imported where it comes from.
                sys.path.insert(number if is_laid_out(root) else len(sys.path), root)
        script = sources.script
        if script is None or _is_here(script) or (_script is not None and _script[0] == script):
            return
        _script = script, main
        _run(script, main)
        _loaded[script.path] = sources.files[script.path]


def leave_libraries_to_others(batch: Batch) -> None:
    """Have calls go elsewhere that need a library of which another module has taken the place here.

    Raises
    ------
    OtherModulesError
        If they do.
    """
    if _first.roots:
        taken = dict(batch.sources.instead)
        for name in _first.roots:
            if name not in taken:
                raise OtherModulesError(f"another {name} was imported", worn=False)


def _libraries(sources: Sources) -> Iterator[str]:
    """Yield the names of modules that this process has imported, and the program has others in the place of."""
    for name, root in sources.instead:
        path = getattr(sys.modules.get(name), "__file__", None)
        if name in sys.modules and not (isinstance(path, str) and path.startswith(os.path.join(root, ""))):
            yield name


def _take_the_place_of_libraries(sources: Sources) -> None:
    """Have modules of a program imported where libraries have the same names; who has a library here keeps it."""
    for name in list(_libraries(sources)):
        for gone in [one for one in sys.modules if one == name or one.startswith(f"{name}.")]:
            del sys.modules[gone]
    if sources.instead and not _first.roots:
        sys.meta_path.insert(0, _first)
    _first.roots.update(sources.instead)


class _First:
    """Finds modules that a program has in the place of libraries, before anybody else does."""

    def __init__(self) -> None:
        self.roots: dict[str, str] = {}

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return what is needed to import a module; None for others."""
        root = self.roots.get(name)
        return None if root is None else PathFinder.find_spec(name, [root])


_first = _First()


def _is_here(script: Script) -> bool:
    """Tell whether the program is that of this process itself."""
    path = getattr(sys.modules[MAIN], "__file__", None)
    return isinstance(path, str) and os.path.abspath(path) == script.path


def _run(script: Script, main: str) -> None:
    """Execute a program without what it does only when it is started."""
    global _script
    tree = tree_of(script.path)
    body: list[ast.stmt] = []
    for statement in tree.body:
        body += (statement.orelse if isinstance(statement, ast.If) else []) if is_guard(statement) else [statement]
    tree.body = body
    module = ModuleType(MAIN)
    module.__file__, module.__spec__, module.__package__ = script.path, ModuleSpec(main, None), script.package
    previous = sys.modules[MAIN]
    sys.modules[MAIN] = module
    try:
        with importing():
            exec(compile(tree, script.path, "exec", dont_inherit=True), vars(module))
    except BaseException:
        sys.modules[MAIN] = previous
        _script = None
        raise


@contextlib.contextmanager
def importing(keeps: bool = True) -> Iterator[None]:
    """Let nothing be submitted by what is imported.

    Without `keeps`, modules of projects that come meanwhile are let go of when an error ends it: code that goes by
    value is to find under their names what came along with it, or nothing.
    """
    with _lock, noted():
        there = set(sys.modules)
        try:
            yield
        except BaseException:
            if not keeps:
                _let_go_of(sys.modules.keys() - there)
            raise
        finally:
            _imported.update(sys.modules.keys() - there)


def _let_go_of(names: Iterable[str]) -> None:
    from offload.identity.libraries.distributions import PROJECT, origin

    for name in [name for name in names if name != MAIN and origin(name) == PROJECT]:
        module = sys.modules.pop(name)
        above, _, last = name.rpartition(".")
        if vars(sys.modules.get(above, sys)).get(last) is module:
            delattr(sys.modules[above], last)


def attribute(module: str, qualname: str) -> Any:
    """Return what a module holds under a name; it is imported where it is not yet."""
    value: Any = sys.modules[MAIN] if module == MAIN else importlib.import_module(module)
    for part in qualname.split(".") if qualname else ():
        value = getattr(value, part)
    return value


def undecorated(module: str, qualname: str) -> Any:
    """Return the function of a task that a module holds."""
    return attribute(module, qualname).function
