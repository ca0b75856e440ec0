"""Classes and functions that do not stand under the names that they have themselves.

Modules hold them under others (``Point = namedtuple("P", "x y")``, what a decorator or function has made), or they are
made anew from what they are made of (``Box[int]`` of a generic model). Elsewhere they are to be the same there.
"""

from __future__ import annotations

import operator
import sys
from types import FunctionType, ModuleType
from typing import Any

from offload.identity.distributions import PROJECT, origin
from offload.identity.quiet import is_a, module_of

MAIN, ALSO_MAIN = "__main__", "__mp_main__"


def holder(value: type | FunctionType) -> tuple[str, str] | None:
    """Return a module of the project that holds a class or function, and under which name; or None.

    Its own module comes first; classes are looked into, too, if they are the module's own.
    """
    own = module_of(value) if is_a(value, type) else value.__module__
    for name in dict.fromkeys([own, *sorted(sys.modules)]):
        module = sys.modules.get(name) if isinstance(name, str) else None
        if not is_a(module, ModuleType) or name == ALSO_MAIN or origin(name) != PROJECT:
            continue
        classes = []
        for held_as, held in list(vars(module).items()):
            if held is value:
                return name, held_as
            if is_a(held, type) and module_of(held) == name:
                classes.append((held_as, held))
        for held_as, held in classes:
            for inner, one in list(vars(held).items()):
                if one is value:
                    return name, f"{held_as}.{inner}"
    return None


def subscripted(value: Any) -> tuple[Any, Any] | None:
    """Return of which generic model of pydantic a class is made, and by what in brackets; None where it is no such one.

    Pydantic makes one class for equal brackets.
    """
    if not is_a(value, type):
        return None
    told = type.__getattribute__(value, "__dict__").get("__pydantic_generic_metadata__")
    if not isinstance(told, dict) or told.get("origin") is None or not told.get("args"):
        return None
    made_of = told["origin"], told["args"]
    try:
        return made_of if operator.getitem(*made_of) is value else None
    except Exception:  # whatever the model may raise
        return None
