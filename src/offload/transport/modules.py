"""Modules of a project that a function imports while it runs, in a process that could not find their files.

They come with the function and are put where ``import`` finds them, with as much in them as functions have needed.
"""

from __future__ import annotations

import sys
import threading
from types import ModuleType

from offload.errors import EncodeError, IdentityError
from offload.identity.functions.graph import Graph

_provided: set[str] = set()
_lock = threading.Lock()


def provide(modules: dict[str, ModuleType]) -> None:
    """Make modules importable. One that this process has imported itself stays as it is.

    Parameters
    ----------
    modules : dict
        By their full names.
    """
    with _lock:
        for name, module in modules.items():
            here = _module(name)
            if name not in _provided:
                continue
            for member, value in vars(module).items():
                # What another thread may be using is not exchanged for its like.
                if member not in vars(here) or not _alike(vars(here)[member], value):
                    setattr(here, member, value)


def withdraw() -> None:
    """Let the modules themselves be imported from now on."""
    with _lock:
        for name in _provided:
            sys.modules.pop(name, None)
        _provided.clear()


def _module(name: str) -> ModuleType:
    """Return a module, with its package above it; a new and empty one where there is none."""
    module = sys.modules.get(name)
    if module is None:
        module = sys.modules[name] = ModuleType(name)
        _provided.add(name)
        package, _, child = name.rpartition(".")
        if package:
            setattr(_module(package), child, module)
    return module


def _alike(one: object, other: object) -> bool:
    if one is other:
        return True
    try:
        return Graph(one).checksum == Graph(other).checksum
    except (IdentityError, EncodeError):
        return False
