"""Classes and functions pickled with their code, by cloudpickle, and what it leaves out of classes.

That are slots, and members that are the same in a base. Without them, a class is another one where it arrives: objects
of a class with ``__slots__`` have a ``__dict__`` there.
"""

from __future__ import annotations

import io
from types import MemberDescriptorType, prepare_class, resolve_bases
from typing import Any

import cloudpickle

_MAKES_CLASS = "_make_skeleton_class"
_ALSO_SLOTS = ("__dict__", "__weakref__")


class CodePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles what goes by value."""

    def reducer_override(self, value: Any) -> Any:
        """Return the parts of a value, as :mod:`pickle` asks for them."""
        return _completed(value, super().reducer_override(value))


def dumps(value: object) -> bytes:
    """Return a value pickled with its code.

    Examples
    --------
    >>> import pickle
    >>> def made():
    ...     class Point:
    ...         __slots__ = ("x", "y")
    ...     return Point
    >>> hasattr(pickle.loads(dumps(made()))(), "__dict__")
    False
    """
    with io.BytesIO() as file:
        CodePickler(file, protocol=5).dump(value)
        return file.getvalue()


def _completed(cls: Any, parts: Any) -> Any:
    """Return the parts of a class that cloudpickle gives, with what it leaves out; other parts as they are."""
    if not isinstance(parts, tuple) or getattr(parts[0], "__name__", "") != _MAKES_CLASS:
        return parts
    make, (kind, name, bases, given, *tracked), (state, more), *rest = parts
    members = vars(cls)
    slots = [one for one, member in members.items() if type(member) is MemberDescriptorType]
    made = {*given, *slots, *_ALSO_SLOTS}
    inherited = {one for base in cls.__bases__ for one, member in vars(base).items() if members.get(one) is member}
    # Somebody may have put other things in the places of slots.
    put = {one: members[one] for one in {*inherited, *_names(members.get("__slots__"))} & members.keys() - made}
    if "__slots__" in members and _takes_slots(kind, name, bases):
        given = {**given, "__slots__": (*slots, *(one for one in _ALSO_SLOTS if one in members))}
    state = {**put, **state}
    state = {one: state[one] for one in dict.fromkeys((*members, *state)) if one in state}  # cloudpickle sorts them
    return make, (kind, name, bases, given, *tracked), (state, more), *rest


def _takes_slots(kind: type, name: str, bases: tuple[Any, ...]) -> bool:
    """Tell whether what makes a class does not give it slots in its own way, as `typing.NamedTuple` does."""
    made_by = prepare_class(name, resolve_bases(bases), {"metaclass": kind})[0]
    return made_by is kind and kind.__module__.partition(".")[0] != "msgspec"


def _names(slots: Any) -> set[str]:
    return {slots} if isinstance(slots, str) else set(slots) if isinstance(slots, (tuple, list, dict)) else set()
