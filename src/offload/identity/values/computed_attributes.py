"""Whether a value is what it was, but for attributes that it has computed and kept, such as a ``cached_property``."""

from __future__ import annotations

from hashlib import sha256

from offload.errors import CycleError
from offload.identity.inspection import attributes
from offload.identity.values.cycles import CyclicEncoder
from offload.identity.values.encode import Encoder, identify
from offload.identity.values.hidden_state import is_computed

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
