"""Members that libraries fit into classes of the project, made of its other members, and other ones in each process.

Counted as they are, they would be a needless run each time. What they are made of counts.
"""

from __future__ import annotations

import re
from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Made of the schema and the fields, noted when first used, or for looking up names in annotations.
_PYDANTIC = {
    "__pydantic_generic_metadata__",
    "__pydantic_parent_namespace__",
    "__pydantic_serializer__",
    "__pydantic_setattr_handlers__",
    "__pydantic_validator__",
    "__signature__",
}
# The address of a class, as pydantic writes it after its name.
_ADDRESS = re.compile(r":\d+")


def fitted(cls: type) -> dict[str, object]:
    """Return the members of a class that do not count as they are: what counts instead, or None for nothing.

    Examples
    --------
    >>> from typing import Protocol
    >>> class Sized(Protocol): pass
    >>> class Box(Sized): pass
    >>> box = Box()  # now it has an ``__init__``, of `object`
    >>> "__init__" in vars(Box), fitted(Box)
    (True, {'__init__': None})
    """
    members = vars(cls)
    found: dict[str, object] = {}
    if "__attrs_attrs__" in members and _is_salted(members.get("__hash__")):
        found["__hash__"] = None
    if "_is_protocol" in members and _is_inherited(cls, "__init__"):
        found["__init__"] = None
    if "__pydantic_core_schema__" in members:
        found.update(dict.fromkeys(_PYDANTIC & members.keys()))
        if "__private_attributes__" in members:  # each notes, when first used, what its factory takes
            private = members["__private_attributes__"]
            found["__private_attributes__"] = {
                name: [one.default, one.default_factory] for name, one in private.items()
            }
        found["__pydantic_decorators__"] = _decorators(members["__pydantic_decorators__"])
        found["__pydantic_core_schema__"] = without_addresses(members["__pydantic_core_schema__"])
    return found


def _is_salted(function: Any) -> bool:
    """Tell whether attrs wrote this ``__hash__``, with a constant that the hash seed decides."""
    return isinstance(function, FunctionType) and function.__code__.co_filename.startswith("<attrs generated")


def _is_inherited(cls: type, name: str) -> bool:
    """Tell whether a member is the one that a base has, which typing has found, or is its way to find it."""
    member: Any = vars(cls).get(name)
    bases = (vars(base)[name] for base in cls.__mro__[1:] if name in vars(base))
    return _is_of_typing(member) or member is next((one for one in bases if not _is_of_typing(one)), None)


def _is_of_typing(member: object) -> bool:
    return getattr(member, "__module__", None) == "typing"


def _decorators(infos: Any) -> list[object]:
    """Return the validators and serializers of a model of pydantic, without the name of the class."""
    kinds = [(kind, getattr(infos, kind)) for kind in infos.__slots__ if isinstance(getattr(infos, kind), dict)]
    return [[kind, [[name, one.func, one.shim, one.info] for name, one in found.items()]] for kind, found in kinds]


def without_addresses(schema: Any) -> Any:
    """Return a schema of pydantic with the names in it as they are in every process."""
    if type(schema) is dict:
        return {
            key: _ADDRESS.sub("", part)
            if key in ("ref", "schema_ref") and type(part) is str
            else part
            if key == "default"
            else without_addresses(part)
            for key, part in schema.items()
        }
    return [without_addresses(part) for part in schema] if type(schema) is list else schema
