"""The pieces of the canonical encoding: tags, heads of items, and many plain numbers or strings as one item."""

from __future__ import annotations

from array import array
from sys import byteorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Tags. 2, 3 and 258 (big integers, sets), 79 and 86 (packed numbers, RFC 8746) are registered; the rest are ours.
POSITIVE_BIGNUM, NEGATIVE_BIGNUM = 2, 3
INT64_ARRAY, FLOAT64_ARRAY = 79, 86
SET = 258
TUPLE, FROZENSET, BYTEARRAY, SURROGATES, ELLIPSIS, COMPLEX, STRINGS = range(60160, 60167)
OBJECT, REDUCED, CLASS, FUNCTION, MODULE, PICKLE, NDARRAY, MET, ON_COPIES, CHANGING, MAKING = range(60176, 60187)

_HEADS = [[bytes([major << 5 | n]) for n in range(24)] for major in range(8)]


def head(major: int, argument: int) -> bytes:
    """Return the initial bytes of a CBOR item: its major type and argument, in the shortest form."""
    if argument < 24:
        return _HEADS[major][argument]
    major <<= 5
    if argument < 0x100:
        return bytes((major | 24, argument))
    if argument < 0x10000:
        return bytes((major | 25,)) + argument.to_bytes(2, "big")
    if argument < 0x100000000:
        return bytes((major | 26,)) + argument.to_bytes(4, "big")
    return bytes((major | 27,)) + argument.to_bytes(8, "big")


def pack(values: list[Any] | tuple[Any, ...]) -> bytes | None:
    """Return the packed encoding of many plain numbers or strings, or None where they are mixed or too large."""
    kinds = set(map(type, values))
    if len(kinds) != 1:
        return None
    (kind,) = kinds
    if kind is str:
        try:
            data = "".join(values).encode()
        except UnicodeEncodeError:
            return None
        # Lengths in characters, so that the text is cut again after it is decoded as a whole.
        lengths = _little_endian(array("q", map(len, values)))
        return head(6, STRINGS) + head(4, 2) + head(2, len(lengths)) + lengths + head(2, len(data)) + data
    if kind is not float and kind is not int:
        return None
    try:
        data = _little_endian(array("d" if kind is float else "q", values))
    except OverflowError:
        return None
    return head(6, FLOAT64_ARRAY if kind is float else INT64_ARRAY) + head(2, len(data)) + data


def _little_endian(numbers: array[Any]) -> bytes:
    if byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
