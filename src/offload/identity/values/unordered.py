"""Sets and mappings of libraries that have no order: what they are pickled from has one, another in each process."""

from __future__ import annotations

from typing import Any

_CLASSES = {
    *(("rpds", name) for name in ("HashTrieMap", "HashTrieSet")),  # of which jsonschema's validators are made
    ("immutables._map", "Map"),
    ("pyrsistent._pmap", "PMap"),
    ("pyrsistent._pset", "PSet"),
}


def in_one_order(value: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments that an object is made of; where it has no order, in one that is the same everywhere."""
    cls = type(value)
    if issubclass(cls, (set, frozenset)):  # made from a list of its elements
        return tuple(frozenset(part) if type(part) is list else part for part in arguments)
    if (cls.__module__, cls.__qualname__) in _CLASSES:
        return tuple(map(_in_order, arguments))
    return arguments


def _in_order(part: Any) -> Any:
    from offload.identity.values.encode import identify

    if type(part) is dict:
        return {key: part[key] for key in sorted(part, key=identify)}
    if type(part) is list and all(type(one) is tuple and len(one) == 2 for one in part):  # keys with their values
        return sorted(part, key=lambda one: identify(one[0]))
    return sorted(part, key=identify) if type(part) is list else part
