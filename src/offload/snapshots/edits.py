"""Files that were edited after they were imported: what a program has is told apart from what is on disk."""

from __future__ import annotations

import os
import sys
import warnings
from functools import cache
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType, ModuleType

from offload.errors import EffectWarning
from offload.notices import users_level

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from offload.snapshots.scan import File, State

_looked: set[tuple[str, State]] = set()


def tell_edited(files: Iterable[File]) -> None:
    """Say once of each file that functions of its module are others than those that it holds now.

    Parameters
    ----------
    files : iterable of File
        Of modules that were imported.
    """
    for file in files:
        if not file.path.endswith(".py") or file.state[1] < _began() or (file.path, file.state) in _looked:
            continue
        _looked.add((file.path, file.state))
        if is_edited(file.path):
            text = f"{file.path} was edited after its import, and calls run what was imported: start Python again"
            warnings.warn(EffectWarning(text), stacklevel=users_level())


def is_edited(path: str) -> bool:
    """Tell whether a function that was imported from a file is not in it any more."""
    try:
        with open(path, "rb") as stream:
            there = set(map(_key, _all_in(compile(stream.read(), path, "exec", dont_inherit=True))))
    except (OSError, SyntaxError, ValueError):
        return True
    modules = [module for module in list(sys.modules.values()) if getattr(module, "__file__", None) == path]
    return any(_key(code) not in there for module in modules if _is_plain(module) for code in _codes(module))


def _is_plain(module: ModuleType) -> bool:
    """Tell whether a module was imported as it stands in its file; others change what they import, such as pytest."""
    return type(getattr(module, "__loader__", None)) is SourceFileLoader


def _codes(module: ModuleType) -> Iterator[CodeType]:
    """Yield the code of the functions that a module and its classes define."""
    path, name = module.__file__, module.__name__
    spaces = [
        vars(module),
        *(vars(one) for one in vars(module).values() if type(one) is type and one.__module__ == name),
    ]
    for value in [value for space in spaces for value in list(space.values())]:
        if isinstance(value, FunctionType) and value.__code__.co_filename == path and value.__module__ == name:
            yield value.__code__


def _all_in(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _all_in(constant)


def _key(code: CodeType) -> tuple[object, ...]:
    """Return what of a code is nothing but what it does; lines do not count, nor what is inner to it."""
    constants = tuple((type(one).__name__, repr(one)) for one in code.co_consts if not isinstance(one, CodeType))
    return code.co_name, code.co_code, constants, code.co_names, code.co_varnames


@cache
def _began() -> int:
    """Return when this process began, in ns of the Unix time."""
    import psutil

    return int(psutil.Process(os.getpid()).create_time() * 1e9)
