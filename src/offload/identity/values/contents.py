"""What a container holds, in a form in which it can be put there again.

What was there before is told by its place, and new values whole: only those of which nothing can change, or that nobody
else has hold of.
"""

from __future__ import annotations

import gc
from collections import Counter, OrderedDict, defaultdict, deque
from itertools import chain
from operator import getitem
from sys import getrefcount
from types import BuiltinFunctionType, FunctionType, ModuleType
from weakref import getweakrefcount

from offload.errors import OffloadError
from offload.identity.inspection import is_a, module_of
from offload.identity.libraries.distributions import PROJECT, origin
from offload.identity.references import find, reference_name
from offload.identity.values.decode import decode
from offload.identity.values.encode import encode, identify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Told = list[Any]

_OWN = 2  # references to what only a container holds: its own, and that of who asks
# What nobody can change is the same as another one that is equal.
_PLAIN = {type(None), bool, int, float, complex, str, bytes, range}
_OF_LIBRARIES = {
    *(("datetime", name) for name in ("date", "datetime", "time", "timedelta", "timezone")),
    *(("decimal", "Decimal"), ("fractions", "Fraction"), ("re", "Pattern"), ("_regex", "Pattern"), ("uuid", "UUID")),
}
_CONTEXT = "decimal", "Context"
_DICTS = {defaultdict, Counter, OrderedDict}
_CONTAINERS = {list, dict, set, tuple, frozenset, deque, *_DICTS}
# What a class of a library may be made from: these keep nothing that Python does not see.
_SEEN_THROUGH = {object, list, dict, set, tuple}
_MADE_BY_PYTHON = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_MOST_ALONE = 10_000


def held(container: Any) -> list[object]:
    """Return what a container holds: of a mapping, each key before its value."""
    if is_a(container, dict):
        return list(chain.from_iterable(_base(container).items(container)))
    if _is_context(container):  # what has happened in it: that a result was not exact, and the like
        return [signal for signal, is_set in container.flags.items() if is_set]
    return list(container)


def put(container: Any, items: Iterable[object]) -> None:
    """Let a container hold just these items."""
    if is_a(container, dict):
        base, new = _base(container), list(items)
        base.clear(container)
        for key, value in zip(new[::2], new[1::2], strict=True):
            base.__setitem__(container, key, value)
    elif _is_context(container):
        container.clear_flags()
        container.flags.update(dict.fromkeys(items, True))
    else:
        new = list(items)
        container.clear()
        (container.update if type(container) is set else container.extend)(new)


def before(container: Any, parts: tuple[Any, ...]) -> list[object] | None:
    """Return what an object held when it was made of parts that pickle would be told; None where it is no container."""
    cls = type(container)
    if _is_context(container):
        signals: list[object] = parts[1][6]
        return sorted(signals, key=list(container.flags).index)
    if cls is Counter:
        return held(parts[1][0])
    if cls in _DICTS or (is_a(container, dict) and module_of(cls) != "collections"):
        return None if parts[4] is None else list(chain.from_iterable(parts[4]))
    return list(parts[3] or ()) if cls is deque else None


def told(container: Any, items: list[object]) -> Told | None:
    """Tell what a container holds by now that held these items; None where that is not done again."""
    if type(container) is set:
        added, dropped = container.difference(items), set(items).difference(container)
        return [list(added), list(dropped)] if all(map(is_immutable, chain(added, dropped))) else None
    if _is_context(container):
        return [signal.__name__ for signal in held(container)]  # type: ignore[attr-defined]
    places: dict[int, int] = {}
    for place, one in enumerate(items):
        places.setdefault(id(one), place)
    is_mapping = is_a(container, dict)
    get: Callable[[Any, Any], Any] = _base(container).__getitem__ if is_mapping else getitem
    keys = _base(container).keys(container) if is_mapping else range(len(container))
    found: list[Any] = []
    for key in keys:
        if is_mapping:
            if id(key) not in places and not is_immutable(key):
                return None
            found.append(places.get(id(key), [key]))
        place = places.get(id(get(container, key)), -1)
        if place < 0 and not is_own(get, container, key) and not is_alone(get, container, key):
            return None
        found.append(place if place >= 0 else [get(container, key)])
    same = sum(1 for _ in _leading(found))
    return [same, *found[same:]]


def again(container: Any, how: Told) -> list[object]:
    """Return what a container is to hold, by what was told of one that held the same.

    Raises
    ------
    LookupError
        If it did not hold the same.
    """
    items = held(container)
    if type(container) is set:
        added, dropped = how
        return [*(one for one in items if one not in set(dropped)), *added]
    if _is_context(container):
        return [signal for signal in container.flags if signal.__name__ in how]
    same, *rest = how
    return [*items[:same], *(items[one] if type(one) is int else one[0] for one in rest)]


def is_immutable(value: object) -> bool:
    """Tell whether nothing of a value can change."""
    cls = type(value)
    if cls is tuple or cls is frozenset:
        return all(map(is_immutable, value))  # type: ignore[call-overload]
    return cls in _PLAIN or (cls.__module__, cls.__qualname__) in _OF_LIBRARIES or _is_scalar(cls)


def _is_scalar(cls: type) -> bool:
    """Tell whether a class is that of a number of NumPy."""
    return cls.__module__ == "numpy" and any(base.__qualname__ == "number" for base in cls.__mro__[:-1])


def is_own(get: Callable[[Any, Any], Any], container: Any, key: object) -> bool:
    """Tell whether nothing of what stands in a container can change, or nobody else has hold of it."""
    if is_immutable(get(container, key)):
        return True
    cls = type(get(container, key))
    if getrefcount(get(container, key)) > _OWN:
        return False
    if cls is list or cls is set:
        return all(map(is_immutable, get(container, key)))
    return cls is dict and all(
        is_immutable(one) and is_own(getitem, get(container, key), one) for one in get(container, key)
    )


def _is_context(container: Any) -> bool:
    cls = type(container)
    return (cls.__module__, cls.__qualname__) == _CONTEXT


def is_alone(get: Callable[[Any, Any], Any], container: Any, key: object) -> bool:
    """Tell whether nobody else has hold of what stands in a container, nor of any part of it; and it comes back.

    It may be an array, or a library's object with all that it holds. Each part has one reference, from within.
    """
    if _is_named(get(container, key)):
        return True
    if getrefcount(get(container, key)) > _OWN or getweakrefcount(get(container, key)):
        return False
    seen = 0
    waiting = [get(container, key)]
    while waiting:
        if not _shows_all(waiting[-1]):
            return False
        parts = gc.get_referents(waiting.pop())
        while parts:
            one = parts.pop()
            if is_immutable(one) or _is_named(one):
                continue
            seen += 1
            held = getrefcount(one) != 3  # by who holds it, by `one`, and by what is asked
            if held or getweakrefcount(one) or seen > _MOST_ALONE:
                return False
            waiting.append(one)
    try:
        value = get(container, key)
        return identify(decode(encode(value))) == identify(value)
    except OffloadError:
        return False


def _shows_all(value: object) -> bool:
    """Tell whether Python sees all that a value holds."""
    cls = type(value)
    if cls in _CONTAINERS:
        return True
    if (cls.__module__, cls.__qualname__) == ("numpy", "ndarray"):
        array: Any = value
        return array.base is None and not array.dtype.hasobject
    if not cls.__flags__ & _MADE_BY_PYTHON or origin(module_of(cls)) == PROJECT:
        return False
    return next(base for base in cls.__mro__ if not base.__flags__ & _MADE_BY_PYTHON) in _SEEN_THROUGH


def _is_named(value: object) -> bool:
    """Tell whether a value is found by its name, in another process as well."""
    if is_a(value, ModuleType) or type(value) is BuiltinFunctionType:
        return True
    if is_a(value, type) or type(value) is FunctionType:
        return find(reference_name(value)[0], load=False) is value
    return type(value).__module__ == "numpy.dtypes" and not value.hasobject  # type: ignore[attr-defined]


def _base(container: Any) -> Any:
    """Return the class whose methods a mapping is looked at by: those of a class of the user's may do other things."""
    return OrderedDict if is_a(container, OrderedDict) else dict


def _leading(found: list[Any]) -> Iterable[int]:
    """Yield the places at the begin that are as they were."""
    for number, one in enumerate(found):
        if type(one) is not int or one != number:
            return
        yield number
