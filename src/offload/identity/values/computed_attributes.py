"""Attributes that an object computes from others, and keeps: ``cached_property`` and its kind, hashes and addresses.

Strings have other hashes in each process, and objects other addresses. A library's object that keeps one of something
that it keeps as well (``self._hash = hash((self.name, tuple(self.items)))``, ``self._words_id = id(self.words)``) is
the same object in each process all the same. That the number is just that is proved by computing it again.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import islice, permutations

from offload.errors import CycleError
from offload.identity.inspection import attributes
from offload.identity.libraries.distributions import PROJECT, origin
from offload.identity.values.cbor import OBJECT
from offload.identity.values.cycles import CyclicEncoder
from offload.identity.values.encode import _WRITERS, Encoder, identify
from offload.identity.values.hidden_state import is_computed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Recipe = tuple[str, ...]  # of the names of attributes; one that ends with `_ALONE` is no tuple


_SMALL = 1 << 32  # neither an address nor the hash of a text is smaller, but for once in a long while
_MOST_ATTRIBUTES, _LONGEST, _MOST_TRIALS = 10, 4, 8000
_MOST_FAILURES = 3
_CLASS, _CLASS_NAME = "(class)", "(class name)"
_ALONE = "(alone)"
_recipes: dict[tuple[type, str], Recipe] = {}
_failures: dict[tuple[type, str], int] = {}


def is_unchanged(value: object, checksum: str) -> bool:
    """Tell whether a value that had a checksum differs from then by nothing but what it has computed and kept.

    Raises
    ------
    EncodeError
        If by now it holds something without an identity.
    """
    return identify(value) == checksum or _identify_unfilled(value) == checksum


def without_filled(value: object, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the parts of an object without attributes that its class computes when they are first asked for."""
    names = attributes(value)
    if not names:
        return parts
    filled = {name for name in names if fills(type(value), name)}
    if not filled:
        return parts
    state, rest = parts[2], parts[6]
    if isinstance(state, dict):
        state = {name: item for name, item in state.items() if name not in filled} or None
    if rest is not None:
        more = {name: item for name, item in rest[0].items() if name not in filled}
        rest = (more, rest[1]) if more or rest[1] else None
    return (*parts[:2], state, *parts[3:6], rest)


def fills(cls: type, name: str) -> bool:
    """Tell whether an attribute is one that the class computes when it is first asked for, and keeps in the instance.

    A descriptor that takes what is assigned may keep that under its own name: then it is state.
    """
    found = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
    return is_computed(cls, name) and not hasattr(type(found), "__set__")


class _Unfilled(Encoder):
    skips_filled = True
    __slots__ = ()


class _CyclicUnfilled(CyclicEncoder):
    skips_filled = True
    __slots__ = ()


def _identify_unfilled(value: object) -> str:
    encoder: Encoder = _Unfilled(portable=False)
    try:
        encoder.write(value)
    except CycleError:
        encoder = _CyclicUnfilled(plain=False)
        encoder.write(value)
    return sha256(b"".join(encoder.chunks)).hexdigest()


class Number:
    """In place of a number: what it is the hash or the address of."""

    __slots__ = ("told",)

    def __init__(self, *told: str) -> None:
        self.told = list(told)


def write_number(encoder: Encoder, number: Number) -> None:
    """Have an encoder write what a number is made of."""
    encoder.tag(OBJECT)
    encoder.write(number.told)


def without_numbers(value: Any, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the parts of a library's object with what its numbers are in their place, where that is to be proved.

    Parameters
    ----------
    value : object
        Any object.
    parts : tuple
        What it is pickled from, and what that leaves out.
    """
    state, rest = parts[2], parts[6]
    told = [state] if type(state) is dict else list(state) if type(state) is tuple else []
    dicts = [*told, *(rest or ())]
    if not any(
        type(item) is int and not -_SMALL < item < _SMALL for one in dicts if type(one) is dict for item in one.values()
    ):
        return parts
    if origin(type(value).__module__) == PROJECT:  # whose `__hash__` is not called
        return parts
    items = {name: item for one in dicts if type(one) is dict for name, item in one.items()}
    found = {name: made for name, item in items.items() if (made := _made_of(value, name, item, items)) is not None}
    if not found:
        return parts
    new = [_with(one, found) for one in told]
    state = new[0] if type(state) is dict else tuple(new) if told else state
    rest = rest if rest is None else tuple(_with(one, found) for one in rest)
    return (*parts[:2], state, *parts[3:6], rest)


def _with(one: Any, found: dict[str, Number]) -> Any:
    return {name: found.get(name, item) for name, item in one.items()} if type(one) is dict else one


def _made_of(value: Any, name: str, number: Any, items: dict[str, Any]) -> Number | None:
    if type(number) is not int or -_SMALL < number < _SMALL:
        return None
    if number == id(value):
        return Number("address")
    for other, item in items.items():
        if other != name and number == id(item):
            return Number("address", str(other))
    key = type(value), name
    symbols = _symbols(value, name, items)
    known = _recipes.get(key)
    if known is not None and _hash(known, symbols) == number:
        return Number("hash", *known)
    if _failures.get(key, 0) < _MOST_FAILURES:
        for recipe in islice(_possible(symbols), _MOST_TRIALS):
            if _hash(recipe, symbols) == number:
                _recipes[key] = recipe
                return Number("hash", *recipe)
        _failures[key] = _failures.get(key, 0) + 1
    return None


def _symbols(value: Any, name: str, items: dict[str, Any]) -> dict[str, Any]:
    """Return what a hash may be made of, by names; lists as the tuples that can be hashed in their place."""
    found: dict[str, Any] = {}
    for other, item in items.items():
        kind = type(item)
        if other == name or type(other) is not str or origin(kind.__module__) == PROJECT:
            continue
        frozen = tuple(item) if kind is list else frozenset(item) if kind is set else item
        try:
            hash(frozen)
        except Exception:  # whatever a class may raise that has no hash
            continue
        found[other] = frozen
    cls = type(value)
    return {**dict(islice(found.items(), _MOST_ATTRIBUTES - 2)), _CLASS: cls, _CLASS_NAME: cls.__name__}


def _possible(symbols: dict[str, Any]) -> Iterator[Recipe]:
    yield from ((name, _ALONE) for name in symbols)
    for length in range(1, _LONGEST + 1):
        yield from permutations(symbols, length)
    names = tuple(name for name in symbols if name not in (_CLASS, _CLASS_NAME))
    if len(names) > _LONGEST:
        yield from (names, (_CLASS, *names), (_CLASS_NAME, *names))


def _hash(recipe: Recipe, symbols: dict[str, Any]) -> int | None:
    try:
        if recipe[-1] == _ALONE:
            return hash(symbols[recipe[0]])
        return hash(tuple(symbols[name] for name in recipe))
    except KeyError:
        return None


_WRITERS[Number] = write_number
