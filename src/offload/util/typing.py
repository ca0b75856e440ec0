"""What stands at run time for names of :mod:`typing` that only type checkers look at: its import takes milliseconds.

Type checkers never see this module.
"""

from __future__ import annotations

from types import GenericAlias

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

P = Q = R = T = None
"""Stand for type variables."""


class Generic:
    """The base of classes with parameters: ``class Task(Generic[P, R])``, and then ``Task[[int], str]``."""

    __slots__ = ()

    def __class_getitem__(cls, parameters: Any) -> Any:
        return cls if cls is Generic else GenericAlias(cls, parameters)


def overload(function: Any) -> Any:
    """Give a function back: the one that is defined last is there."""
    return function
