"""What has no order, and is pickled in one that is another in each process: sets and mappings of libraries, slots."""

from __future__ import annotations

from types import MemberDescriptorType
from typing import Any

_CLASSES = {
    *(("rpds", name) for name in ("HashTrieMap", "HashTrieSet")),  # of which jsonschema's validators are made
    ("immutables._map", "Map"),
    ("pyrsistent._pmap", "PMap"),
    ("pyrsistent._pset", "PSet"),
}
# What their instances are told to hold is collected from a set of names.
_FROM_SETS = {("astropy.utils.data_info", "DataInfo")}
_by_class: dict[type, _Order] = {}


def in_one_order(value: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments that an object is made of; where it has no order, in one that is the same everywhere."""
    cls = type(value)
    if issubclass(cls, (set, frozenset)):  # made from a list of its elements
        return tuple(frozenset(part) if type(part) is list else part for part in arguments)
    if (cls.__module__, cls.__qualname__) in _CLASSES:
        return tuple(map(_in_order, arguments))
    return arguments


def state_in_one_order(value: Any, state: Any) -> Any:
    """Return the state of an object; where its class makes it of slots, which have no order, in the order of these.

    Examples
    --------
    >>> class Point:
    ...     __slots__ = ("x", "y")
    ...     def __getstate__(self): return {name: getattr(self, name) for name in {"x", "y"}}
    >>> point = Point()
    >>> point.x = point.y = 0
    >>> list(state_in_one_order(point, {"y": 0, "x": 0}))
    ['x', 'y']
    """
    told_by_object = type(state) is tuple and len(state) == 2 and type(state[1]) is dict
    slots = state[1] if told_by_object else state
    if type(slots) is not dict or not slots:
        return state
    cls = type(value)
    order = _by_class.get(cls)
    if order is None:
        order = _by_class[cls] = _Order(cls)
    if order.of_set:
        return {name: state[name] for name in sorted(state)} if slots is state else state
    if not order.slots.keys() >= slots.keys() or (told_by_object and not order.has_sets):
        return state
    ordered = {name: slots[name] for name in order.slots if name in slots}
    return (state[0], ordered) if told_by_object else ordered


class _Order:
    """In which order the state of a class's instances is told.

    Attributes
    ----------
    of_set : bool
        Whether its names come from a set.
    slots : dict
        The slots, in the order in which they are named; those that a set names, sorted.
    has_sets : bool
        Whether there are such.
    """

    __slots__ = ("has_sets", "of_set", "slots")

    def __init__(self, cls: type) -> None:
        self.of_set = any((base.__module__, base.__qualname__) in _FROM_SETS for base in cls.__mro__)
        self.slots: dict[str, None] = {}
        self.has_sets = False
        for base in reversed(cls.__mro__):
            named = vars(base).get("__slots__", ())
            is_set = isinstance(named, (set, frozenset))
            self.has_sets |= is_set
            names = sorted(named) if is_set else [named] if isinstance(named, str) else list(named)
            for name in names:
                member = f"_{base.__name__.lstrip('_')}{name}" if name[:2] == "__" != name[-2:] else name
                if type(vars(base).get(member)) is MemberDescriptorType:
                    self.slots[member] = None


def _in_order(part: Any) -> Any:
    from offload.identity.values.encode import identify

    if type(part) is dict:
        return {key: part[key] for key in sorted(part, key=identify)}
    if type(part) is list and all(type(one) is tuple and len(one) == 2 for one in part):  # keys with their values
        return sorted(part, key=lambda one: identify(one[0]))
    return sorted(part, key=identify) if type(part) is list else part
