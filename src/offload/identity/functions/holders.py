"""Classes and functions that do not stand under the names that they have themselves.

Modules hold them under others (``Point = namedtuple("P", "x y")``, what a decorator or function has made), or they are
made anew from what they are made of (``Box[int]`` of a generic model). Elsewhere they are to be the same there.
"""

from __future__ import annotations

import operator
import pickle
import sys
from contextlib import suppress
from io import BytesIO
from types import FunctionType, ModuleType
from typing import Any

from offload.errors import EncodeError, IdentityError
from offload.identity.inspection import is_a, module_of
from offload.identity.libraries.distributions import PROJECT, origin

ALSO_MAIN = "__mp_main__"
_MADE_BY_PYTHON = 1 << 9  # Py_TPFLAGS_HEAPTYPE


def holder(value: type | FunctionType) -> tuple[str, str] | None:
    """Return a module of the project that holds a class or function, and under which name; or None.

    Its own module comes first, and the program last; classes are looked into, too, if they are the module's own.
    """
    own = module_of(value) if is_a(value, type) else value.__module__
    if origin(own) != PROJECT and not (own == "types" and is_a(value, type) and value.__flags__ & _MADE_BY_PYTHON):
        return None  # `types` is where those say to be that `make_dataclass` has made
    for name in dict.fromkeys([own, *sorted(sys.modules, key=lambda name: (name == "__main__", name))]):
        module = sys.modules.get(name) if isinstance(name, str) else None
        if not is_a(module, ModuleType) or name == ALSO_MAIN or origin(name) != PROJECT:
            continue
        classes = []
        for held_as, held in list(vars(module).items()):
            if held is value:
                return name, held_as
            if is_a(held, type) and module_of(held) == name:
                classes.append((held_as, held))
        for held_as, held in classes:
            for inner, one in list(vars(held).items()):
                if one is value:
                    return name, f"{held_as}.{inner}"
    return None


def held_or_made(held: str, own: str, digest: str, payload: bytes | None) -> Any:
    """Return the class or function that a module holds under a name, or what is made of the code that was recorded.

    Parameters
    ----------
    held, own : str
        ``module:name`` of where it was, and what it was called itself.
    digest : str
        Its checksum. What is another by now, and is called the same, is taken all the same, as a call would take it.
    payload : bytes or None
        Its code, if that could be pickled.

    Raises
    ------
    DecodeError
        If there is neither.
    """
    from offload.identity.functions.identify import closure
    from offload.identity.references import find, reference_name
    from offload.identity.values import objects, replaced_classes

    found = find(held)
    if isinstance(found, type | FunctionType):
        try:
            if closure(found).checksum == digest:
                return found
        except (EncodeError, IdentityError):  # it has no identity here
            pass
        if reference_name(found)[0] == own:
            replaced_classes.note(held)
            return found
    return objects.located(own, digest, payload)


def made_by_another_name(value: Any) -> tuple[Any, tuple[Any, ...]] | None:
    """Return how a class or function is had again that does not stand under its own name; None for one that does."""
    from offload.identity.functions.identify import closure
    from offload.identity.references import find, importable, reference_name
    from offload.identity.values.objects import by_value

    made_of = subscripted(value)
    if made_of is not None:
        return operator.getitem, made_of
    if not isinstance(value, type | FunctionType):
        return None
    own, _ = reference_name(value)
    place = holder(value) if find(own, load=False) is not value else None
    if place is None:
        return None
    try:
        digest = closure(value).checksum
    except (EncodeError, IdentityError):
        return None
    payload = None
    with suppress(EncodeError):
        payload = by_value(value)
    return held_or_made, (f"{importable(place[0])}:{place[1]}", own, digest, payload)


def called(own: str, digest: str | None) -> Any:
    """Return the class or function of this checksum that says to have a name, and stands under another; or None."""
    from offload.identity.functions.identify import closure
    from offload.identity.references import find, reference_name

    module = find(f"{own.partition(':')[0]}:", load=False)
    for held in list(vars(module).values()) if is_a(module, ModuleType) else ():
        if (is_a(held, type) or is_a(held, FunctionType)) and reference_name(held)[0] == own:
            with suppress(EncodeError, IdentityError):
                if closure(held).checksum == digest:
                    return held
    return None


def loads(data: bytes) -> Any:
    """Return a pickled value; classes that came with their code are those that are here, where they are the same.

    Which these are shows when they have been made: so the value is loaded twice then.
    """
    data = bytes(data)
    if b"_make_skeleton_" not in data:
        return pickle.loads(data)
    first = _Unpickler(data)
    first.load()
    return _Unpickler(data, {at: found for at, made in enumerate(first.made) if (found := _same(*made))}).load()


class _Unpickler(pickle.Unpickler):
    """Takes classes that are here, and takes note of those that it makes.

    Parameters
    ----------
    data : bytes
        What cloudpickle has made.
    standing : dict, optional
        The classes that are here, by their numbers in the order in which they would be made. Without it, none of those
        that are made is used again for another value.

    Attributes
    ----------
    made : list of (type, str, str)
        Those that were made, with their modules and names.
    """

    def __init__(self, data: bytes, standing: dict[int, type] | None = None) -> None:
        super().__init__(BytesIO(data))
        self._standing = standing or {}
        self._once = standing is None
        self.made: list[tuple[type, str, str]] = []

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name stands for; where that makes a class from its code, what first looks for the class."""
        found = super().find_class(module, name)
        if module != "cloudpickle.cloudpickle":
            return found
        if name == "_make_skeleton_class":
            return lambda *told: self._class(str(told[3].get("__module__")), told[1], found, told)
        if name == "_make_skeleton_enum":
            return lambda *told: self._class(told[4], told[2], found, told)
        if name == "_class_setstate":
            return lambda cls, state: cls if cls in self._standing.values() else found(cls, state)
        return found

    def _class(self, module: str, name: str, make: Any, told: tuple[Any, ...]) -> Any:
        if self._once:
            told = (*told[:-2], None, told[-1])  # what cloudpickle knows the class by
        cls = self._standing.get(len(self.made)) or make(*told)
        self.made.append((cls, module, name))
        return cls


def _same(made: type, module: str, qualname: str) -> type | None:
    """Return the class that a module has under a name, if it is the same as one that was made of its code."""
    from offload.identity.functions.identify import closure

    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type) and found is not made:
        with suppress(EncodeError, IdentityError):
            if closure(found).checksum == closure(made).checksum:
                return found
    return None


def subscripted(value: Any) -> tuple[Any, Any] | None:
    """Return of which generic model of pydantic a class is made, and by what in brackets; None where it is no such one.

    Pydantic makes one class for equal brackets.
    """
    if not is_a(value, type):
        return None
    told = type.__getattribute__(value, "__dict__").get("__pydantic_generic_metadata__")
    if not isinstance(told, dict) or told.get("origin") is None or not told.get("args"):
        return None
    made_of = told["origin"], told["args"]
    try:
        return made_of if operator.getitem(*made_of) is value else None
    except Exception:  # whatever the model may raise
        return None


def give_qualname(cls: type, name: str) -> None:
    """Say where a class was defined, which cloudpickle forgets of one that it makes."""
    if cls.__flags__ & _MADE_BY_PYTHON and cls.__qualname__ == cls.__name__ == name.rpartition(".")[2]:
        cls.__qualname__ = name
