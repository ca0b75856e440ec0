"""Exceptions whose constructor takes other arguments than those that they hold.

Pickle calls the class with what is in ``args``: it fails where the constructor asks for something else, and gives
another text where that makes one of it. What Python's own class needs, and the attributes, tell all of it.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

Parts = tuple[Any, ...]


def parts(error: BaseException) -> Parts | None:
    """Return what an exception is made of where its class has a constructor of its own, else None.

    As ``__reduce_ex__`` would tell. A class that says itself how it is pickled is taken at its word.
    """
    cls = type(error)
    own = builtin(cls)
    if cls.__reduce__ is not own.__reduce__ or cls.__reduce_ex__ is not object.__reduce_ex__:
        return None
    new: Any = cls.__new__
    if new is own.__new__:
        if type(cls.__init__) is not FunctionType:
            return None
    elif type(new) is not FunctionType:  # in C, which may note more than it shows
        return None
    told: Any = own.__reduce__(error)  # knows what an OSError or ImportError has besides
    arguments, *rest = told[1:]
    state = dict(rest[0]) if rest and rest[0] else {}
    if isinstance(error, BaseExceptionGroup):
        members = list(error.exceptions)
        if len(arguments) != 2 or arguments[0] != error.message or [*map(id, arguments[1])] != [*map(id, members)]:
            state["args"] = arguments
            arguments = error.message, members
    return made, (cls, *arguments), state or None, None, None, give


def made(cls: type[BaseException], *arguments: Any) -> BaseException:
    """Make an exception without the constructor of its class."""
    own = builtin(cls)
    error = own.__new__(cls, *arguments)
    try:
        own.__init__(error, *arguments)
    except (TypeError, ValueError):  # its class has given it what it liked, without asking Python's
        error.args = arguments
    return error


def give(error: BaseException, state: dict[str, Any]) -> None:
    """Give an exception its attributes, also those that its class lets nobody set."""
    for name, item in state.items():
        if hasattr(builtin(type(error)), name):
            object.__setattr__(error, name, item)
        else:
            error.__dict__[name] = item


def builtin(cls: type[BaseException]) -> type[BaseException]:
    """Return the class of Python's own that a class descends from."""
    return next(base for base in cls.__mro__ if base.__module__ == "builtins")
