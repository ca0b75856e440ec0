"""The way back from canonical bytes to values; the counterpart of :mod:`offload.identity.values.encode`."""

from __future__ import annotations

from array import array
from struct import Struct, error
from sys import byteorder

from offload.errors import DecodeError
from offload.identity.values import cbor as tags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DOUBLE = Struct(">d").unpack_from
_SIMPLE = {20: False, 21: True, 22: None}


def decode(data: bytes | memoryview) -> Any:
    """Return the value that canonical bytes stand for.

    Parameters
    ----------
    data : bytes
        What :func:`offload.identity.values.encode.encode` returned.

    Returns
    -------
    object
        A new value, equal to the encoded one and of the same types.

    Raises
    ------
    DecodeError
        If the bytes are not a canonical encoding, or a type in them cannot be found or rebuilt here.

    Examples
    --------
    >>> from offload.identity.values.encode import encode
    >>> decode(encode((1, 2.5, {"a": {1, 2}})))
    (1, 2.5, {'a': {1, 2}})
    """
    decoder = Decoder(data)
    try:
        value = decoder.read()
    except (LookupError, error, ValueError, TypeError, OverflowError, AttributeError, RecursionError) as exc:
        raise DecodeError(f"not a canonical encoding: {type(exc).__name__}: {exc}") from exc
    if decoder.position != len(decoder.data):
        raise DecodeError(f"not a canonical encoding: {len(decoder.data) - decoder.position} bytes follow the value")
    return value


class Decoder:
    """Reads one value after another from canonical bytes."""

    __slots__ = ("data", "located", "position")

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = memoryview(data)
        self.position = 0
        self.located: dict[tuple[str, str | None], Any] = {}  # classes and functions by name and checksum

    def head(self) -> tuple[int, int]:
        """Read a major type and its argument."""
        initial = self.data[self.position]
        self.position += 1
        major, argument = initial >> 5, initial & 31
        if argument < 24:
            return major, argument
        if argument > 27:
            raise DecodeError(f"not a canonical encoding: initial byte {initial:#x}")
        if major == 7:
            return major, argument
        return major, int.from_bytes(self.take(1 << (argument - 24)), "big")

    def take(self, size: int) -> memoryview:
        """Read `size` raw bytes, without copying them."""
        end = self.position + size
        if end > len(self.data):
            raise DecodeError("not a canonical encoding: it ends too early")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def bytes(self) -> memoryview:
        """Read a byte string, without copying it."""
        major, size = self.head()
        if major != 2:
            raise DecodeError(f"not a canonical encoding: a byte string was due, not major type {major}")
        return self.take(size)

    def length(self) -> int:
        """Read the beginning of an array: how many values follow."""
        major, length = self.head()
        if major != 4:
            raise DecodeError(f"not a canonical encoding: an array was due, not major type {major}")
        return length

    def items(self) -> list[Any]:
        """Read an array of values."""
        return [self.read() for _ in range(self.length())]

    def views(self) -> list[Any]:
        """Read an array of values, without copying the byte strings among them."""
        return [self.bytes() if self.data[self.position] >> 5 == 2 else self.read() for _ in range(self.length())]

    def read(self) -> Any:
        """Read one value of any type."""
        major, argument = self.head()
        if major == 0:
            return argument
        if major == 1:
            return -1 - argument
        if major == 2:
            return bytes(self.take(argument))
        if major == 3:
            return str(self.take(argument), "utf-8")
        if major == 4:
            return [self.read() for _ in range(argument)]
        if major == 5:
            return {self.read(): self.read() for _ in range(argument)}
        if major == 6:
            return self._tagged(argument)
        if argument == 27:
            return _DOUBLE(self.take(8))[0]
        return _SIMPLE[argument]

    def _tagged(self, tag: int) -> Any:
        if tag == tags.TUPLE:
            items = self.read()
            if type(items) is not list:
                raise DecodeError(f"not a canonical encoding: a tuple of a {type(items).__name__}")
            return tuple(items)
        if tag == tags.SET:
            return set(self.items())
        if tag == tags.FROZENSET:
            return frozenset(self.items())
        if tag in (tags.INT64_ARRAY, tags.FLOAT64_ARRAY):
            return _numbers("q" if tag == tags.INT64_ARRAY else "d", self.bytes())
        if tag == tags.STRINGS:
            self.head()
            lengths, text = _numbers("q", self.bytes()), str(self.bytes(), "utf-8")
            ends = [0]
            for length in lengths:
                if length < 0:  # else few bytes could stand for any number of long texts
                    raise DecodeError("not a canonical encoding: a text of negative length")
                ends.append(ends[-1] + length)
            if ends[-1] != len(text):
                raise DecodeError("not a canonical encoding: the lengths of texts do not add up")
            return [text[start:end] for start, end in zip(ends, ends[1:], strict=False)]
        if tag == tags.POSITIVE_BIGNUM:
            return int.from_bytes(self.bytes(), "big")
        if tag == tags.NEGATIVE_BIGNUM:
            return -1 - int.from_bytes(self.bytes(), "big")
        if tag == tags.BYTEARRAY:
            return bytearray(self.bytes())
        if tag == tags.SURROGATES:
            return str(self.bytes(), "utf-8", "surrogatepass")
        if tag == tags.COMPLEX:
            return complex(*self.items())
        if tag == tags.ELLIPSIS:
            self.read()
            return ...
        if tag == tags.ON_COPIES:
            return self.read()
        if tag in (tags.CHANGING, tags.MAKING):
            return self.items()[0]
        from offload.identity.values.objects import read_object

        return read_object(self, tag)


def _numbers(kind: str, data: memoryview) -> list[Any]:
    numbers: array[Any] = array(kind)
    numbers.frombytes(data)
    if byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
