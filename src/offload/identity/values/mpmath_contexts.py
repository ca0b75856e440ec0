"""Contexts of mpmath, which hold some 300 functions that hold the context: by what is set, and what was added."""

from __future__ import annotations

import importlib

from offload.identity.values.objects import register

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OF_LIBRARY = "mp", "fp", "iv"


def install(package: str) -> None:
    """Register the encodings of contexts."""
    mpmath: Any = importlib.import_module("mpmath")
    known: dict[type, set[str]] = {}
    classes = {type(getattr(mpmath, name)) for name in _OF_LIBRARY}  # the library's three know each other

    def added(context: Any) -> dict[str, Any]:
        """Return what somebody else than mpmath has put into a context."""
        cls = type(context)
        if cls not in known:
            known[cls] = set(vars(cls()))
        members = sorted(vars(context).items())
        return {name: part for name, part in members if type(part) not in classes and _is_new(name, part, known[cls])}

    def contents(context: Any) -> list[object]:
        name = next((name for name in _OF_LIBRARY if getattr(mpmath, name) is context), None)
        sets = [context.prec, getattr(context, "trap_complex", None), getattr(context, "pretty", None)]
        return [name, sets, *([more] if (more := added(context)) else [])]

    def made(cls: type) -> Any:
        def read(parts: Any) -> Any:
            name, sets, *more = parts
            if name is not None:
                return getattr(mpmath, name)
            context: Any = cls()
            for setting, value in zip(("prec", "trap_complex", "pretty"), sets, strict=True):
                if value is not None and getattr(context, setting) != value:
                    setattr(context, setting, value)
            for one in more:
                vars(context).update(one)
            return context

        return read

    for cls in classes:
        register(cls, encode=contents, decode=made(cls), name=f"mpmath.{cls.__name__}")


def _is_new(name: str, part: object, known: set[str]) -> bool:
    return name not in known or not str(getattr(part, "__module__", "mpmath")).startswith("mpmath")
