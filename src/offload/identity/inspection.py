"""Looking at objects without running their code: a property may load a file, a ``__getattr__`` open a connection.

Pickling runs what a class defines for it (``__reduce__``, ``__getstate__``). Nothing else does.
"""

from __future__ import annotations

from types import FunctionType, GetSetDescriptorType, MemberDescriptorType

from offload.identity.libraries.distributions import PROJECT, origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeGuard, TypeVar

    T = TypeVar("T")


_IN_C = (GetSetDescriptorType, MemberDescriptorType)
_ASKS = ("__getattribute__", "__getattr__")
_MISSING = object()
_careful: dict[type, bool] = {}


def is_a(value: object, cls: type[T]) -> TypeGuard[T]:
    """Tell whether a value is an instance of a class, whatever it says itself.

    As `isinstance`, which may run a property ``__class__``.
    """
    return issubclass(type(value), cls)


def runs_code(cls: type) -> bool:
    """Tell whether taking an attribute of an instance may run code, of the project or of a proxy."""
    known = _careful.get(cls)
    if known is None:
        asks = any(type(vars(base).get(name)) is FunctionType for base in cls.__mro__ for name in _ASKS)
        known = _careful[cls] = asks or any(origin(module_of(base)) == PROJECT for base in cls.__mro__)
    return known


def attribute(value: Any, name: str, default: Any = None) -> Any:
    """Return an attribute of a value as it is there, without running code of the project for it.

    Examples
    --------
    >>> class Lazy:
    ...     unit = "m"
    ...     @property
    ...     def shape(self): raise RuntimeError
    ...     def __getattr__(self, name): raise RuntimeError
    >>> attribute(Lazy(), "unit"), attribute(Lazy(), "shape"), attribute(Lazy(), "item")
    ('m', None, None)
    """
    cls = type(value)
    if not runs_code(cls):
        return getattr(value, name, default)
    found: Any = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), _MISSING)
    if type(found) in _IN_C:
        try:
            return found.__get__(value, cls)
        except AttributeError:  # a slot without a value
            return default
    held = attributes(value)
    if held is not None and name in held:
        return held[name]
    return default if found is _MISSING or hasattr(type(found), "__get__") else found


def found_in(value: Any, name: str) -> Any:
    """Return an attribute of a value.

    Raises
    ------
    AttributeError
        If it is not there as it is, without running code of the project.
    """
    found = attribute(value, name, _MISSING)
    if found is _MISSING:
        raise AttributeError(name)
    return found


def attributes(value: Any) -> dict[str, Any] | None:
    """Return the dict of an object's attributes, or None where it has none."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except (AttributeError, TypeError):
        return None
    return found if type(found) is dict else None


def module_of(cls: type) -> str:
    """Return the name of the module that a class lies in, also where ``__module__`` is a property."""
    name: object = cls.__module__
    if isinstance(name, str):
        return name
    for member in vars(cls).values():
        function = member.fget if type(member) is property else getattr(member, "__func__", member)
        if type(function) is FunctionType:
            return str(function.__globals__.get("__name__"))
    return "builtins"
