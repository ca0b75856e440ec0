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
    cls = type(value)
    filled = {name for name in names if fills(cls, name)}
    emptied = set()
    if origin(cls.__module__) != PROJECT:
        filled |= {name for name in names if name not in filled and is_computed(cls, name) and _refills(value, name)}
        emptied = {name for name in names if _is_behind_property(cls, name) and _refills(value, name)}
    if not filled and not emptied:
        return parts
    state, rest = parts[2], parts[6]
    if isinstance(state, dict):
        state = {n: None if n in emptied else item for n, item in state.items() if n not in filled} or None
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


def _is_behind_property(cls: type, name: str) -> bool:
    """Tell whether a private attribute may be what a property of the class, that is only read, keeps there."""
    found = next((vars(base)[name[1:]] for base in cls.__mro__ if name[1:] in vars(base)), None)
    return name[:1] == "_" and isinstance(found, property) and found.fset is None


def _refills(value: Any, name: str) -> bool:
    """Tell whether asking for an attribute that is not there, or for the property before it, computes just the same."""
    held = attributes(value)
    if held is None or held.get(name) is None:
        return False
    is_private = _is_behind_property(type(value), name)
    kept = held[name]
    if is_private:
        held[name] = None
    else:
        del held[name]
    try:
        getattr(value, name[1:] if is_private else name)
        return held.get(name) is not None and identify(held[name]) == identify(kept)
    except Exception:  # whatever the property may raise
        return False
    finally:
        held[name] = kept


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
    parts = _without_notes(value, parts)
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


# What objects of a package keep as None until somebody asks for it, who gets an empty dict.
_EMPTY = {"xarray": {"_attrs", "_encoding"}}
# Where in the state of these stands how often they were asked: trees of scikit-learn.
_COUNTS = {("sklearn.neighbors._kd_tree", "sklearn.neighbors._ball_tree"): slice(7, 11)}
TELLS_COUNTS = {"get_n_calls", "get_tree_stats"}
"""Who names these may ask for such counts; then it has no identity."""


def _without_notes(value: Any, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the parts of an object without what it notes while it is used."""
    module, state = str(type(value).__module__), parts[2]
    empty = _EMPTY.get(module.partition(".")[0])
    if empty and (told := _dicts_of(state)):
        new = [{n: None if n in empty and item == {} else item for n, item in one.items()} for one in told]
        state = new[0] if type(state) is dict else (state[0] and new[0], new[-1])
    for modules, places in _COUNTS.items():
        if module in modules and type(state) is tuple and all(type(one) is int for one in state[places]):
            state = (*state[: places.start], *state[places.stop :])
    return parts if state is parts[2] else (*parts[:2], state, *parts[3:])


def _dicts_of(state: Any) -> list[dict[str, Any]]:
    if type(state) is dict:
        return [state]
    return [one for one in state if type(one) is dict] if type(state) is tuple and len(state) == 2 else []


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
