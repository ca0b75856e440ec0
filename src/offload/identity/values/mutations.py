"""What a call has changed of the values that it reaches, in a form in which that can be done again.

A call that keeps what it has computed in a dict, or counts how often it was made, leaves other values behind than it
found. It is recalled only together with that: what it had put where, is put there once more, and the graph of what the
function reaches has to be the same as it was after the call. So all that comes later finds what it would have found.
"""

from __future__ import annotations

import gc
from operator import getitem, is_
from types import MappingProxyType

from offload.errors import OffloadError
from offload.identity.functions.state_checks import MISSING
from offload.identity.inspection import attributes, is_a, module_of
from offload.identity.libraries.distributions import PROJECT, origin
from offload.identity.values.contents import again, before, held, is_alone, is_immutable, is_own, put, told
from offload.identity.values.hidden_state import is_computed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from offload.identity.functions.graph import Graph

    Change = list[Any]  # in which list of the graph, the index there, the key, and what has been put
    Put = tuple[Any, Any, Any]

NAMES, MAPPINGS, OBJECTS, LISTS, SETS, OTHERS, STATES = range(7)
_CONTAINERS = MAPPINGS, LISTS, SETS, OTHERS
ALL: list[object] = []
"""In place of a key: all that a container holds. No mapping has such a key."""


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
    for kind, index, holder, key, was in _differences(graph):
        if holder is None:
            return None
        if key is ALL:
            how = told(holder, was)
            if how is None:
                return None
            found.append([kind, index, key, how])
        elif is_immutable(key) and is_own(getitem, _names_of(holder), key):
            found.append([kind, index, key])
        elif kind == OBJECTS and was is MISSING and _is_computed(pieces._plain[index][0], key):
            computed.append((pieces._plain[index][0], key))
        elif is_immutable(key) and is_alone(getitem, _names_of(holder), key):
            found.append([kind, index, key])
        else:
            return None
        undo.append((holder, key, was))
    now = [(holder, key, _found(holder, key)) for holder, key, _ in undo]
    _put(undo)
    try:  # nothing else has changed
        same = graph.is_current() and graph._pieces is pieces
    finally:
        _put(now)
    if not same:
        return None
    for change in found:
        if change[2] is not ALL:
            change.append(_found(_holder(graph, *change), change[2]))
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
    try:
        holders = [_holder(graph, kind, index, key) for kind, index, key, _ in found]
        new = [
            again(holder, how) if key == ALL else how for holder, (_, _, key, how) in zip(holders, found, strict=True)
        ]
    except LookupError:
        return False
    keys = [ALL if key == ALL else key for _, _, key, _ in found]
    undo = [(holder, key, _found(holder, key)) for holder, key in zip(holders, keys, strict=True)]
    _put(list(zip(holders, keys, new, strict=True)))
    try:
        same = after() == checksum
    except OffloadError:
        same = False
    if not same:
        _put(undo)
    return same


def _is_computed(value: object, name: str) -> bool:
    """Tell whether a library's class computes an attribute, and keeps it: whoever asks for it gets it."""
    cls = type(value)
    return origin(module_of(cls)) != PROJECT and is_computed(cls, name)


def _differences(graph: Graph) -> Iterator[tuple[int, int, Any, Any, Any]]:
    """Yield what is not what it was.

    Yields
    ------
    tuple
        Where: a list of the graph, and the index there; who holds it, the key, and what was there before. None for the
        holder where it has changed in a way that is not done again.
    """
    pieces = graph._pieces
    for index, (names, name, was) in enumerate(graph._names):
        if names.get(name, MISSING) is not was:  # nothing here keeps hold of it: who does is counted
            yield NAMES, index, _settable(graph, names) if name in names else None, name, was
    objects = [(index, attributes(piece[0]) or {}, *piece[2:]) for index, piece in enumerate(pieces._plain)]
    known = {id(mapping) for _, mapping, *_ in objects}  # which are met as their objects' states, too
    for index, mapping, keys, values in objects:
        yield from _between(OBJECTS, index, mapping, keys, values)
    for index, (mapping, keys, values) in enumerate(pieces._mappings):
        if id(mapping) not in known:
            yield from _between(MAPPINGS, index, mapping, keys, values)
    for index, (some, items) in enumerate(pieces._lists):
        if not _are(some, items):
            yield LISTS, index, some, ALL, list(items)
    for index, (members, ids, elements) in enumerate(pieces._sets):
        if ids != set(map(id, members)):
            yield SETS, index, members, ALL, list(elements)
    for index, (value, _, parts) in enumerate(pieces._objects):
        if (was := before(value, parts)) is not None and not _are(held(value), was):
            yield OTHERS, index, value, ALL, was
        elif was is None:
            for name, old in _changed_attributes(value, parts, pieces._objects[index][1]):
                yield STATES, index, attributes(value), name, old


def _changed_attributes(
    value: Any, before: tuple[Any, ...], reduce: Callable[[Any], tuple[Any, ...]]
) -> list[tuple[str, object]]:
    """Return the attributes that are not what they were, of an object whose class tells its state, and what they were.

    What they are now is held by nobody when this has returned.
    """
    names, old, new = attributes(value), before[2], reduce(value)[2]
    if names is None or type(old) is not dict or type(new) is not dict:
        return []
    changed = (name for name in {**old, **new} if new.get(name, MISSING) is not old.get(name, MISSING))
    return [(name, old.get(name, MISSING)) for name in changed if names.get(name, MISSING) is new.get(name, MISSING)]


def _are(items: list[Any], others: Sequence[object]) -> bool:
    return len(items) == len(others) and all(map(is_, items, others))


def _between(
    kind: int, index: int, mapping: dict[Any, Any], keys: tuple[object, ...], values: tuple[object, ...]
) -> Iterator[tuple[int, int, Any, Any, Any]]:
    now = list(mapping)
    if len(now) < len(keys) or any(key is not was for key, was in zip(now, keys, strict=False)):
        yield kind, index, mapping, ALL, [one for pair in zip(keys, values, strict=True) for one in pair]
        return
    for key, was in zip(now, (*values, *[MISSING] * (len(now) - len(keys))), strict=True):
        if mapping[key] is not was:
            yield kind, index, mapping, key, was


def _settable(graph: Graph, names: Any) -> Any:
    """Return a namespace in which names can be set: a dict, or the class that it is of; else None."""
    if type(names) is dict:
        return names
    if type(names) is MappingProxyType:
        (members,) = gc.get_referents(names)
        for cls in (node.subject for node in graph.nodes if is_a(node.subject, type)):
            if gc.get_referents(vars(cls))[0] is members:
                return cls if type(cls).__setattr__ is type.__setattr__ else None
    return None


def _holder(graph: Graph, kind: int, index: int, key: object, *_: object) -> Any:
    """Return what holds something that has changed.

    Raises
    ------
    LookupError
        If it is not there.
    """
    pieces = graph._pieces
    found: Any
    if kind == NAMES:
        names, name, _was = graph._names[index]
        found = _settable(graph, names)
        if name != key or found is None:
            raise KeyError(key)
        return found
    if kind in (OBJECTS, STATES):
        found = attributes((pieces._plain if kind == OBJECTS else pieces._objects)[index][0])
        if type(found) is not dict:
            raise KeyError(key)
        return found
    return (pieces._mappings, pieces._lists, pieces._sets, pieces._objects)[_CONTAINERS.index(kind)][index][0]


def _names_of(holder: Any) -> Any:
    return vars(holder) if is_a(holder, type) else holder


def _found(holder: Any, key: Any) -> Any:
    return held(holder) if key is ALL else _names_of(holder).get(key, MISSING)


def _put(what: list[Put]) -> None:
    for holder, key, value in what:
        if key is ALL:
            put(holder, value)
        elif is_a(holder, type):
            if value is not MISSING:
                type.__setattr__(holder, key, value)
            elif key in vars(holder):
                type.__delattr__(holder, key)
        elif value is MISSING:
            holder.pop(key, None)
        else:
            holder[key] = value
