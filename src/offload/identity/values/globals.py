"""What the global values of a graph are made of: each object is written once, and can be asked whether it is the same.

Large libraries hold thousands of objects that share most of what they are made of, and a call has to know whether any
of them has changed. Writing them all again takes seconds, looking whether each piece holds the same objects as before
takes milliseconds. Pieces of which that cannot be told make a value opaque: it is written again each time.
"""

from __future__ import annotations

import copyreg
from operator import is_

from offload.identity.inspection import attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Reduce = Callable[[Any], tuple[Any, ...]]

# Of these, equal ones of one type are written alike; of floats, 0.0 and -0.0 are equal.
_EXACT = (str, bytes, int, bool, type(None))


class Pieces:
    """The pieces of values that were met, with what each held.

    Attributes
    ----------
    opaque : bool
        Whether something was met, since this was set to False, that has to be written again to know that it is the
        same: arrays, tables, weak references.
    """

    __slots__ = ("_kept", "_lists", "_mappings", "_noted", "_objects", "_plain", "_sets", "_written", "opaque")

    def __init__(self) -> None:
        self.opaque = False
        self._kept: list[object] = []  # so that their ids stay their own
        self._noted: set[int] = set()
        self._written: dict[int, tuple[bytes, bool]] = {}
        self._lists: list[tuple[list[Any], tuple[object, ...]]] = []
        self._mappings: list[tuple[dict[Any, Any], tuple[object, ...], tuple[object, ...]]] = []
        self._sets: list[tuple[set[Any], set[int], tuple[object, ...]]] = []
        self._plain: list[tuple[Any, type, tuple[object, ...], tuple[object, ...]]] = []
        self._objects: list[tuple[Any, Reduce, tuple[Any, ...]]] = []

    def written(self, value: object) -> bytes | None:
        """Return the checksum of an object that was written before."""
        found = self._written.get(id(value))
        if found is None:
            return None
        self.opaque |= found[1]
        return found[0]

    def remember(self, value: object, checksum: bytes, opaque: bool) -> None:
        """Remember the checksum of what was written for an object."""
        self._kept.append(value)
        self._written[id(value)] = checksum, opaque

    def forget(self) -> None:
        """Forget the checksums, so that what is written from now on is written anew."""
        self._written.clear()

    def note(self, value: Any) -> None:
        """Take note of a list, dict, set or bytearray, and of what it holds."""
        if self._is_known(value):
            return
        kind = type(value)
        if kind is list:
            self._lists.append((value, tuple(value)))
        elif kind is dict:
            self._mappings.append((value, tuple(value), tuple(value.values())))
        elif kind is set:
            self._sets.append((value, set(map(id, value)), tuple(value)))
        elif kind is bytearray:
            self.opaque = True

    def note_object(self, value: Any, reduce: Reduce, parts: tuple[Any, ...]) -> None:
        """Take note of an object, and of the parts that it is pickled from."""
        if value is NotImplemented or self._is_known(value):  # which holds nothing, and is in each dataclass
            return
        cls = type(value)
        if is_plain(cls):
            names = attributes(value) or {}
            self._plain.append((value, cls, tuple(names), tuple(names.values())))
        elif _are_same(reduce(value), parts):
            self._objects.append((value, reduce, parts))
        else:  # it makes up something new each time that it is asked
            self.opaque = True

    def are_same(self) -> bool:
        """Tell whether each piece holds the same objects as when it was met."""
        for found, items in self._lists:
            if len(found) != len(items) or not all(map(is_, found, items)):
                return False
        for names, keys, values in self._mappings:
            if not _holds(names, keys, values):
                return False
        for members, ids, _ in self._sets:
            if len(members) != len(ids) or not ids.issuperset(map(id, members)):
                return False
        for value, cls, keys, values in self._plain:
            if type(value) is not cls or not _holds(attributes(value) or {}, keys, values):
                return False
        return all(_are_same(reduce(value), parts) for value, reduce, parts in self._objects)

    def changed(self) -> str | None:
        """Return the class and attribute that does not hold what it held, or None where no object of a class is met."""
        containers = {id(one) for one, items in self._lists if len(one) != len(items) or not all(map(is_, one, items))}
        containers |= {id(one) for one, keys, values in self._mappings if not _holds(one, keys, values)}
        containers |= {id(one) for one, ids, _ in self._sets if ids != set(map(id, one))}
        inner: list[str] = []
        for value, cls, keys, values in self._plain:
            now: dict[Any, Any] = attributes(value) or {}
            before = dict(zip(keys, values, strict=True))
            for name in {**before, **now}:
                if name not in now or name not in before or now[name] is not before[name]:
                    return f"{cls.__qualname__}.{name}"
                if id(now[name]) in containers:
                    inner.append(f"{cls.__qualname__}.{name}")
        if inner:
            return inner[0]
        others = (value for value, reduce, parts in self._objects if not _are_same(reduce(value), parts))
        return next((f"a {type(value).__qualname__}" for value in others), None)

    def _is_known(self, value: object) -> bool:
        if id(value) in self._noted:
            return True
        self._noted.add(id(value))
        self._kept.append(value)
        return False


def _holds(names: dict[Any, Any], keys: tuple[object, ...], values: tuple[object, ...]) -> bool:
    return len(names) == len(keys) and all(map(is_, names, keys)) and all(map(is_, names.values(), values))


_known_plain: dict[type, bool] = {}


def is_plain(cls: type) -> bool:
    """Tell whether instances are pickled from their class and ``__dict__``, and nothing else."""
    known = _known_plain.get(cls)
    if known is None:
        known = _known_plain[cls] = (
            all(getattr(cls, name) is getattr(object, name) for name in ("__reduce_ex__", "__reduce__", "__getstate__"))
            and not hasattr(cls, "__getnewargs__")
            and not hasattr(cls, "__getnewargs_ex__")
            and cls not in copyreg.dispatch_table
            and cls.__dictoffset__ != 0
            and not any("__slots__" in vars(base) for base in cls.__mro__)
            and not issubclass(cls, (list, dict, set, frozenset))
        )
    return known


def _are_same(one: Any, other: Any) -> bool:
    """Tell whether two values, perhaps made for this question, hold the same objects."""
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is tuple or kind is list:
        return len(one) == len(other) and all(map(_are_same, one, other))
    if kind is dict:
        return _are_same(list(one), list(other)) and _are_same(list(one.values()), list(other.values()))
    if kind is set or kind is frozenset:
        return len(one) == len(other) and set(map(id, one)) == set(map(id, other))
    return kind in _EXACT and bool(one == other)
