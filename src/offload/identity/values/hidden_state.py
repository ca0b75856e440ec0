"""State of an instance that pickling leaves out, and that counts all the same.

A class that adds attributes to one whose reducer does not know them (an array with a unit, a date with a calendar)
loses them when it is pickled. Here they are found, so that they count, and come back.

A reducer that leaves out what it knows does so on purpose: locks, caches, cached hashes. It knows the names in its own
code, private names that its class or a base of it uses, and the slots of these.
"""

from __future__ import annotations

import copyreg
import sys
from types import CodeType, FunctionType, MemberDescriptorType
from weakref import WeakKeyDictionary

from offload.errors import EncodeError
from offload.identity.libraries.distributions import PROJECT, STANDARD, origin
from offload.identity.values import exceptions
from offload.identity.values.globals import is_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    LeftOut = tuple[dict[str, Any], dict[str, Any]]

_REDUCERS = ("__reduce_ex__", "__reduce__", "__getstate__")
_NEWARGS = ("__getnewargs__", "__getnewargs_ex__")
_REDUCING = (*_REDUCERS, *_NEWARGS, "__setstate__")
# What these know of, and lose all the same.
_LOST = {"numpy.ma": {"_hardmask", "_optinfo"}}
# Where its content lies is no part of a value.
_PLACES = {"numpy.memmap": {"_mmap", "filename", "mode", "offset"}}
# Slots in which an object notes something while it is used, and whether that matters where it is more than nothing.
_NOTES = {"xarray": {"_cache": False, "_attrs": True, "_encoding": True}}
NEWOBJ = vars(copyreg)["__newobj__"]
_OF_EXCEPTIONS = ("__cause__", "__context__", "__suppress_context__")


class _Class:
    """What is asked of each instance of a class whose reducer may leave something out.

    Attributes
    ----------
    slots : tuple of (str, descriptor)
        Slots that the reducer's class does not know.
    named : frozenset of str
        Names that the reducer names itself, so that it leaves them out on purpose.
    used : frozenset of str
        Names in the code of the reducer's class and its bases.
    lost : frozenset of str
        Names that count although these know them.
    own : bool
        Whether the class is the project's.
    compiled : bool
        Whether it is a library's, of which no code is to be seen: what it uses under private names is not known.
    """

    __slots__ = ("cls", "compiled", "exception", "lost", "members", "named", "own", "slots", "used")

    def __init__(self, cls: type, definer: type) -> None:
        self.cls = cls
        self.exception = issubclass(cls, BaseException)
        known = definer.__mro__
        self.slots = tuple(
            (name, member)
            for base in cls.__mro__
            if base not in known or definer is BaseException
            for name, member in vars(base).items()
            if type(member) is MemberDescriptorType and "__slots__" in vars(base)
        )
        self.members = tuple(_members(cls)) if self.exception else ()
        self.own = origin(cls.__module__) == PROJECT
        telling = cls.__mro__[: cls.__mro__.index(definer) + 1] if definer in cls.__mro__ else (cls,)
        code = (member for base in telling for member in vars(base).values())
        self.compiled = not self.own and not any(isinstance(member, FunctionType) for member in code)
        lost: set[str] = set()
        named = {name for base in cls.__mro__ for name in _PLACES.get(f"{base.__module__}.{base.__qualname__}", ())}
        used: set[str] = set()
        if definer is not BaseException:
            members = {name: member for base in reversed(known) for name, member in vars(base).items()}
            named |= _reachable(members, copyreg.dispatch_table.get(cls))
            for base in known:
                used |= {*vars(base), *_names_of(vars(base).values())}
                lost |= {name for package, names in _LOST.items() if _is_in(base, package) for name in names}
        self.lost, self.named, self.used = frozenset(lost), frozenset(named), frozenset(used)

    def left_out(self, value: Any, parts: tuple[Any, ...]) -> LeftOut | None:
        """Return what the parts do not tell, as attributes and slots, or None for nothing."""
        slots = {name: member.__get__(value) for name, member in self.slots if _is_set(member, value)}
        if not self.own:
            slots = {name: item for name, item in slots.items() if not _refuses(item)}
        attributes: dict[str, Any] = {}
        held: Any = object.__getstate__(value)  # asking for `__dict__` would make one
        held = held[0] if type(held) is tuple else held
        if held:
            told = {name for one in _dicts(parts[2]) for name in one}
            if not isinstance(value, dict):  # of which the keys are no attributes
                told |= {n for one in _dicts(parts[1]) for n, item in one.items() if held.get(n, one) is item}
            attributes = {n: held[n] for n in sorted(held) if n not in told and self._counts(n, held[n])}
        if self.exception:
            slots.update(self._of_exception(value))
        return (attributes, slots) if attributes or slots else None

    def _counts(self, name: str, item: Any) -> bool:
        if name in self.lost:
            return bool(item)
        if name in self.named or (self.compiled and name[:1] == "_"):
            return False
        if name not in self.used:
            return self.own or not _refuses(item)
        if name[:1] == "_" or is_computed(self.cls, name):
            return False
        return not _refuses(item)

    def _of_exception(self, value: Any) -> Iterator[tuple[str, Any]]:
        made = _made_of(value) if self.members else None
        for name, member in self.members:
            item = member.__get__(value)
            other = member.__get__(made) if made is not None else None
            if other is not item and (type(other) is not type(item) or other != item):
                yield name, item
        for name in _OF_EXCEPTIONS:
            item = object.__getattribute__(value, name)
            if item:
                yield name, item


_known: WeakKeyDictionary[type, _Class | None] = WeakKeyDictionary()


def without_notes(value: object, state: Any) -> Any:
    """Return the state of a value without what it has only noted while it was used."""
    names = _NOTES.get(str(type(value).__module__).partition(".")[0])
    if names is None or type(state) is not tuple or len(state) != 2 or type(state[1]) is not dict:
        return state
    slots = state[1].items()
    return state[0], {name: (part or None) if name in names else part for name, part in slots if names.get(name, True)}


def left_out(value: Any, parts: tuple[Any, ...]) -> LeftOut | None:
    """Return the attributes and slots of an object that are not among the parts that its reducer tells.

    Examples
    --------
    >>> import datetime
    >>> class Day(datetime.date): pass
    >>> day = Day(2024, 2, 29)
    >>> day.calendar = "gregorian"
    >>> left_out(day, day.__reduce_ex__(4) + (None,))
    ({'calendar': 'gregorian'}, {})
    """
    asked = asks(type(value))
    return None if asked is None else asked.left_out(value, parts)


def asks(cls: type) -> _Class | None:
    """Return what to ask of the instances of a class, or None where nothing can be left out."""
    try:
        return _known[cls]
    except KeyError:
        found = _known[cls] = _class(cls)
        return found


def _class(cls: type) -> _Class | None:
    if cls in copyreg.dispatch_table and not issubclass(cls, BaseException):
        definer = cls
    else:
        definer = _first(cls, *_REDUCERS) or object
        if definer is not object:  # who tells the arguments for it knows of more; of two ways pickle asks for the first
            telling = _first(cls, "__getnewargs_ex__") or _first(cls, "__getnewargs__") or definer
            definer = min(definer, telling, key=cls.__mro__.index)
    if definer is object or (not cls.__dictoffset__ and cls is definer) or "_member_map_" in vars(cls):
        return None  # `object` leaves out nothing; members of enumerations are found by name
    if issubclass(cls, type):
        return None
    found = _Class(
        cls, BaseException if definer.__module__ == "builtins" and issubclass(cls, BaseException) else definer
    )
    return found if found.slots or found.exception or cls.__dictoffset__ else None


def _first(cls: type, *names: str) -> type | None:
    return next((b for b in cls.__mro__[:-1] if any(name in vars(b) for name in names)), None)


_come_back: dict[type, bool] = {}


def comes_back(cls: type) -> bool:
    """Tell whether instances of a class are known to be rebuilt as they were."""
    known = _come_back.get(cls)
    if known is None:
        if origin(cls.__module__) == PROJECT:
            make: Any = cls.__new__
            known = is_plain(cls) and make is object.__new__ and not hasattr(cls, "__setstate__")
        else:
            where = origin(cls.__module__)
            known = not issubclass(cls, BaseException) and (
                where == STANDARD or where.startswith(("numpy==", "pandas=="))
            )
        _come_back[cls] = known
    return known


def restore(value: Any, rest: LeftOut) -> None:
    """Give an object what its reducer left out."""
    attributes, slots = rest
    if attributes:
        value.__dict__.update(attributes)
    for name, item in slots.items():
        member = next((vars(b)[name] for b in type(value).__mro__ if name in vars(b)), None)
        if member is not None and hasattr(type(member), "__set__"):
            member.__set__(value, item)
        else:
            object.__setattr__(value, name, item)


def whole(value: Any) -> tuple[Any, ...] | None:
    """Return what pickle is to make of an object whose reducer leaves something out; None where it is as usual.

    As a pickler's ``reducer_override`` returns it.
    """
    if asks(type(value)) is None:
        return None
    from offload.identity.values.objects import reduced

    function, arguments, state, items, pairs, setter, rest = reduced(value)
    if function is exceptions.made and rest is None:
        return function, arguments, state, None, None, setter
    if rest is None:
        return None
    if function is NEWOBJ or isinstance(function, type):  # others may change what they are given
        made = function(*arguments)
        if is_held(made) and _is_complete(made, (function, arguments, state), rest):
            return None
    return (
        *(function, arguments, (state, setter, rest)),
        *(None if items is None else iter(items), None if pairs is None else iter(pairs), _complete),
    )


def is_held(made: object) -> bool:
    """Tell whether anybody but the caller holds an object that was made just now."""
    return sys.getrefcount(made) > 3  # by the caller, by this function, and by what is asked


def _is_complete(made: Any, parts: tuple[Any, ...], rest: LeftOut) -> bool:
    """Tell that an object that others hold has what was left out.

    Raises
    ------
    EncodeError
        If not: it must not be changed, since its class gives it to all who ask for such a one.
    """
    from offload.identity.values.encode import encode

    found = left_out(made, parts)
    if found is None or encode(found) != encode(rest):
        raise EncodeError(f"a {type(made).__qualname__} loses what its class leaves out when it is pickled")
    return True


def complete(made: Any, held: bool, parts: tuple[Any, ...], rest: LeftOut) -> None:
    """Give an object that was made anew what its reducer left out.

    Raises
    ------
    EncodeError
        If others hold it, and it lacks that.
    """
    if not held or not _is_complete(made, parts, rest):
        restore(made, rest)


def set_state(value: Any, state: Any) -> None:
    """Give an object its state, as pickle does."""
    if hasattr(value, "__setstate__"):
        value.__setstate__(state)
        return
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    if state:
        value.__dict__.update(state)
    for name, item in (slots or {}).items():
        setattr(value, name, item)


def _complete(value: Any, told: tuple[Any, Any, LeftOut]) -> None:
    state, setter, rest = told
    if setter is not None:
        setter(value, state)
    elif state is not None:
        set_state(value, state)
    restore(value, rest)


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield what C notes of an exception besides its arguments."""
    for base in cls.__mro__:
        if base.__module__ == "builtins":
            for name, member in vars(base).items():
                if type(member) is MemberDescriptorType and name[:2] != "__":
                    yield name, member


def _made_of(value: Any) -> Any:
    """Return an exception like this one that was made of its arguments alone."""
    told = exceptions.parts(value)
    try:
        return exceptions.builtin(type(value))(*(value.args if told is None else told[1][1:]))
    except Exception:  # a subclass may have given it whatever it liked
        return None


def _is_set(member: Any, value: Any) -> bool:
    try:
        member.__get__(value)
    except AttributeError:
        return False
    return True


def _is_in(cls: type, package: str) -> bool:
    return (cls.__module__ + ".").startswith(package + ".")


def is_computed(cls: type, name: str) -> bool:
    """Tell whether an attribute is one that the class computes, and keeps in the instance."""
    found = next((vars(b)[name] for b in cls.__mro__ if name in vars(b)), None)
    return hasattr(type(found), "__get__") and not isinstance(found, FunctionType)


def _dicts(part: Any, depth: int = 2) -> Iterator[dict[Any, Any]]:
    if type(part) is dict:
        yield part
    elif type(part) is tuple and depth:
        for one in part:
            yield from _dicts(one, depth - 1)


def _refuses(item: Any, depth: int = 3) -> bool:
    """Tell whether something cannot be pickled, or holds such a thing: who leaves it out has a reason."""
    from offload.identity.references import is_silent
    from offload.identity.values.objects import is_registered, reduced

    kind = type(item)
    if kind in (list, tuple, set, dict):
        return depth > 0 and any(_refuses(one, depth - 1) for one in (item.values() if kind is dict else item))
    if is_silent(kind):
        return True
    if is_registered(kind):
        return False
    if asks(kind) is None and kind.__dictoffset__:  # pickled by `object`
        return False
    try:
        reduced(item)
    except EncodeError:
        return True
    return False


def _reachable(members: dict[str, Any], reducer: Any) -> set[str]:
    """Return the names in the code of the reducing methods, and of the methods that these name."""
    found: set[str] = {*_names_of([reducer])}
    waiting = [name for name in _REDUCING if name in members]
    seen = {*waiting}
    while waiting:
        names = {*_names_of([members[waiting.pop()]])}
        found |= names
        new = {name for name in names & members.keys() if isinstance(members[name], FunctionType)} - seen
        seen |= new
        waiting += new
    return found


def _names_of(members: Any) -> Iterator[str]:
    """Yield the names and texts in the code of functions, methods and properties."""
    for member in members:
        for one in (member, *(getattr(member, part, None) for part in ("__func__", "fget", "fset", "func"))):
            if isinstance(one, FunctionType):
                yield from _names_in(one.__code__)


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
        elif type(constant) is str:
            yield constant
        elif type(constant) in (tuple, frozenset):
            yield from (one for one in constant if type(one) is str)


def assigned(function: FunctionType) -> dict[str, object]:
    """Return what was assigned to a function, without what libraries keep there to run it."""
    from offload.identity.functions.argmap import COMPILED, rewrites_itself
    from offload.identity.references import is_silent

    left_out = {"__wrapped__"} | (COMPILED if rewrites_itself(function) else set())
    return {
        name: item
        for name, item in sorted(vars(function).items())
        if name not in left_out
        and not is_silent(type(item))
        and not (callable(item) and origin(getattr(item, "__module__", None)) != PROJECT)
    }
