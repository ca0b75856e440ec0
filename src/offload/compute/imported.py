"""The worker's side of code that goes by name: modules of projects are imported from the files that both sides see.

A worker lives longer than a version of a project. Modules of another version, or of another project with the same
names, make way when no call uses them; while one does, the others go by value.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import os
import sys
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from offload.compute.importing import noted
from offload.compute.provided import withdraw
from offload.compute.snapshots.places import is_laid_out
from offload.compute.sources import MAIN, Script, Sources, checksum_of, is_guard, tree_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_lock = threading.RLock()
_users = 0
_roots: tuple[str, ...] | None = None  # where imports of the program in use begin
_added: list[str] = []  # those of them that were not on the path
_before: set[str] | None = None  # the modules there were before the first project
_known = 0  # how many modules there were when they were looked at last
_imported: set[str] = set()  # those that came while a batch was loaded
_loaded: dict[str, str] = {}  # the checksums of the files that were imported
_script: tuple[Script, str] | None = None
_own_main: ModuleType | None = None  # what ``__main__`` was before
_same: set[tuple[str, str, str]] = set()  # what was found to be the same here
_dropped: list[Callable[[], None]] = []


def when_dropped(function: Callable[[], None]) -> Callable[[], None]:
    """Have a function called whenever modules make way for others."""
    _dropped.append(function)
    return function


@contextlib.contextmanager
def using(sources: Sources, lacking: str = "") -> Iterator[str]:
    """Keep the modules of a project in place while a batch runs; yield why they cannot be imported, or nothing.

    Parameters
    ----------
    sources : Sources
        The files.
    lacking : str
        Why they are not to be had here.
    """
    global _users
    reason = lacking or _take(sources)
    try:
        yield reason
    finally:
        if not reason:
            with _lock:
                _note()  # what the calls have imported
                _users -= 1


def _take(sources: Sources) -> str:
    global _users
    if not sources:
        return "it has no file"
    with _lock:
        if _is_other(sources):
            if _users:
                return "other calls use another version of its modules"
            _drop()
        _users += 1
        return ""


def differing(named: dict[tuple[str, str], str]) -> str:
    """Return which class or function is another one here than where its checksum was taken, or nothing."""
    from offload.errors import EncodeError, IdentityError
    from offload.identity.functions import closure

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


def _is_other(sources: Sources) -> bool:
    """Tell whether modules that were imported are not those that are on disk, or those of another program."""
    if _roots is not None and not set(_roots).issuperset(sources.roots):
        return True
    if sources.script is not None and _script is not None and _script[0] != sources.script:
        return True
    return any(checksum_of(path) != digest for path, digest in _loaded.items())


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
    from offload.identity.distributions import PROJECT, origin

    if _before is None:
        return []
    processes = sys.modules.get("multiprocessing.process")
    alone = processes is not None and processes.parent_process() is not None
    new = [
        (name, module)
        for name, module in list(sys.modules.items())
        if name not in _before and (alone or name in _imported)
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


def renew() -> bool:
    """Let modules that a call has changed make way for new ones, where there are any and no other batch uses them."""
    with _lock:
        if _users > 1 or not _loaded:
            return False
        _drop()
        return True


def _drop() -> None:
    global _script, _known, _roots, _own_main
    _roots = None
    if _own_main is not None:
        sys.modules[MAIN], _own_main = _own_main, None
    for root in _added:
        sys.path.remove(root)
    _added.clear()
    _known = 0
    for name, _ in _own():
        sys.modules.pop(name, None)
    _loaded.clear()
    _same.clear()
    _script = None
    importlib.invalidate_caches()
    for function in _dropped:
        function()


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
            _before = set(sys.modules)
        withdraw()
        _roots = _roots or sources.roots
        for number, root in enumerate(sources.roots):
            if root not in sys.path:
                # At its end, where a file of the user's takes the place of no library. What was laid out holds only
                # what was imported where it comes from.
                sys.path.insert(number if is_laid_out(root) else len(sys.path), root)
                _added.append(root)
        script = sources.script
        if script is None or _is_here(script) or (_script is not None and _script[0] == script):
            return
        _script = script, main
        _run(script, main)
        _loaded[script.path] = sources.files[script.path]


def _is_here(script: Script) -> bool:
    """Tell whether the program is that of this process itself."""
    path = getattr(sys.modules[MAIN], "__file__", None)
    return isinstance(path, str) and os.path.abspath(path) == script.path


def _run(script: Script, main: str) -> None:
    """Execute a program without what it does only when it is started."""
    global _script, _own_main
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
    _own_main = _own_main or previous


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Let nothing be submitted by what is imported."""
    with _lock, noted():
        there = set(sys.modules)
        try:
            yield
        finally:
            _imported.update(sys.modules.keys() - there)


def attribute(module: str, qualname: str) -> Any:
    """Return what a module holds under a name; it is imported where it is not yet."""
    value: Any = sys.modules[MAIN] if module == MAIN else importlib.import_module(module)
    for part in qualname.split(".") if qualname else ():
        value = getattr(value, part)
    return value


def undecorated(module: str, qualname: str) -> Any:
    """Return the function of a task that a module holds."""
    return attribute(module, qualname).function
