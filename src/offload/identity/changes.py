"""What a call has changed of the values that it reaches, in a form in which that can be done again.

A call that keeps what it has computed in a dict, or counts how often it was made, leaves other values behind than it
found. It is recalled only together with that: what it had put where, is put there once more, and the graph of what the
function reaches has to be the same as it was after the call. So all that comes later finds what it would have found.
"""

from __future__ import annotations

from sys import getrefcount

from offload.errors import OffloadError
from offload.identity.checks import MISSING
from offload.identity.distributions import PROJECT, origin
from offload.identity.leftout import is_computed
from offload.identity.quiet import attributes, module_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from offload.identity.graph import Graph

    Change = list[Any]  # in which list of the graph, the index there, the key, and what has been put
    Put = tuple[dict[Any, Any], Any, object]

NAMES, MAPPINGS, OBJECTS = range(3)
_OWN = 2  # references to what only a mapping holds: its own, and that of who asks
# What nobody can change is the same as another one that is equal.
_PLAIN = {type(None), bool, int, float, complex, str, bytes, range}
_OF_LIBRARIES = {
    *(("datetime", name) for name in ("date", "datetime", "time", "timedelta", "timezone")),
    *(("decimal", "Decimal"), ("fractions", "Fraction"), ("re", "Pattern"), ("uuid", "UUID")),
}


def changes(graph: Graph, after: Callable[[], str]) -> tuple[list[Change], str, str] | None:
    """Return what has changed since a graph was made, and the checksum of one that is made after doing that again.

    Attributes that an object of a library computes when it is first asked for them, and keeps, are left out of both,
    where they are what they would be if they were computed now.

    Parameters
    ----------
    graph : Graph
        As it was before the call.
    after : callable
        Returns the checksum of the graph as it is now.

    Returns
    -------
    tuple or None
        With that, the checksum with such attributes. None where something has changed that cannot be done again:
        another object is there, or one that can change.
    """
    pieces = graph._pieces
    found: list[Change] = []
    undo: list[Put] = []
    computed: list[tuple[object, str]] = []
    for kind, index, mapping, key, before in _differences(graph):
        if mapping is None:
            return None
        if is_immutable(key) and _is_its_own(mapping, key):
            found.append([kind, index, key])
        elif kind == OBJECTS and before is MISSING and _is_computed(pieces._plain[index][0], key):
            computed.append((pieces._plain[index][0], key))
        else:
            return None
        undo.append((mapping, key, before))
    again = [(mapping, key, mapping[key]) for mapping, key, _ in undo]
    _put(undo)
    try:  # nothing else has changed
        same = graph.is_current() and graph._pieces is pieces
    finally:
        _put(again)
    if not same:
        return None
    for change in found:
        change.append(_mapping(graph, *change)[change[2]])
    whole = without = after()
    if computed:
        kept = [(vars(value), name, vars(value).pop(name)) for value, name in computed]
        try:
            without = after()
            for value, name in computed:
                getattr(value, name)
            same = after() == whole
        except Exception:  # whatever the property may raise
            same = False
        finally:
            _put(kept)
    return (found, without, whole) if same else None


def do_again(graph: Graph, found: list[Change], after: Callable[[], str], checksum: str) -> bool:
    """Make changes once more; undo them and return False where that does not give what it has given before.

    Parameters
    ----------
    graph : Graph
        Current, and the same as before the call.
    found : list
        The changes.
    after : callable
        Returns the checksum of the graph as it is now.
    checksum : str
        That of the graph after the call.
    """
    undo: list[Put] = []
    try:
        again = [(_mapping(graph, kind, index, key), key, value) for kind, index, key, value in found]
    except LookupError:
        return False
    undo = [(mapping, key, mapping.get(key, MISSING)) for mapping, key, _ in again]
    _put(again)
    try:
        same = after() == checksum
    except OffloadError:
        same = False
    if not same:
        _put(undo)
    return same


def is_immutable(value: object) -> bool:
    """Tell whether nothing of a value can change."""
    cls = type(value)
    if cls is tuple or cls is frozenset:
        return all(map(is_immutable, value))  # type: ignore[call-overload]
    return cls in _PLAIN or (cls.__module__, cls.__qualname__) in _OF_LIBRARIES


def _is_computed(value: object, name: str) -> bool:
    """Tell whether a library's class computes an attribute, and keeps it: whoever asks for it gets it."""
    cls = type(value)
    return origin(module_of(cls)) != PROJECT and is_computed(cls, name)


def _is_its_own(mapping: dict[Any, Any], key: object) -> bool:
    """Tell whether nothing of what stands in a mapping can change, or nobody else has hold of it."""
    if is_immutable(mapping[key]):
        return True
    cls = type(mapping[key])
    if getrefcount(mapping[key]) > _OWN:
        return False
    if cls is list or cls is set:
        return all(map(is_immutable, mapping[key]))
    return cls is dict and all(is_immutable(one) and _is_its_own(mapping[key], one) for one in mapping[key])


def _differences(graph: Graph) -> Iterator[tuple[int, int, dict[Any, Any] | None, Any, object]]:
    """Yield what is not what it was.

    Yields
    ------
    tuple
        Where: a list of the graph, and the index there; the mapping, the key, and what was there before. None for the
        mapping where it has changed in a way that is not done again.
    """
    for index, (names, name, before) in enumerate(graph._names):
        now = names.get(name, MISSING)
        if now is not before:
            settable = type(names) is dict and now is not MISSING
            yield NAMES, index, names if settable else None, name, before  # type: ignore[misc]
    objects = [(index, attributes(piece[0]) or {}, *piece[2:]) for index, piece in enumerate(graph._pieces._plain)]
    known = {id(mapping) for _, mapping, *_ in objects}  # which are met as their objects' states, too
    for index, mapping, keys, values in objects:
        yield from _between(OBJECTS, index, mapping, keys, values)
    for index, (mapping, keys, values) in enumerate(graph._pieces._mappings):
        if id(mapping) not in known:
            yield from _between(MAPPINGS, index, mapping, keys, values)


def _between(
    kind: int, index: int, mapping: dict[Any, Any], keys: tuple[object, ...], values: tuple[object, ...]
) -> Iterator[tuple[int, int, dict[Any, Any] | None, Any, object]]:
    now = list(mapping)
    if len(now) < len(keys) or any(key is not before for key, before in zip(now, keys, strict=False)):
        yield kind, index, None, None, None
        return
    for key, before in zip(now, (*values, *[MISSING] * (len(now) - len(keys))), strict=True):
        if mapping[key] is not before:
            yield kind, index, mapping, key, before


def _mapping(graph: Graph, kind: int, index: int, key: object) -> dict[Any, Any]:
    found: Any
    if kind == NAMES:
        found, name, _ = graph._names[index]
        if name != key:
            raise KeyError(key)
    elif kind == MAPPINGS:
        found = graph._pieces._mappings[index][0]
    else:
        found = attributes(graph._pieces._plain[index][0])
    if type(found) is not dict:
        raise KeyError(key)
    return found


def _put(what: list[Put]) -> None:
    for mapping, key, value in what:
        if value is MISSING:
            mapping.pop(key, None)
        else:
            mapping[key] = value
