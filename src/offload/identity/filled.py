"""Whether a value is what it was, but for attributes that it has computed and kept, such as a ``cached_property``."""

from __future__ import annotations

from hashlib import sha256
from types import FunctionType

from offload.errors import CycleError
from offload.identity.cyclic import CyclicEncoder
from offload.identity.encoding import Encoder, identify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


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
    state = parts[2]
    names = getattr(value, "__dict__", None)
    if not isinstance(state, dict) or not names:
        return parts
    kept = {name: item for name, item in state.items() if not (name in names and _is_computed(type(value), name))}
    return parts if len(kept) == len(state) else (*parts[:2], kept or None, *parts[3:])


def _is_computed(cls: type, name: str) -> bool:
    found = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
    kind = type(found)
    return hasattr(kind, "__get__") and not hasattr(kind, "__set__") and not issubclass(kind, (FunctionType, type))


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
