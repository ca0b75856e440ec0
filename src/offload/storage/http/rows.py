"""Rows in bodies: MessagePack, which is compact, quick and can name no code, unlike a pickle."""

from __future__ import annotations

from typing import TypeVar

from offload.storage.http.protocol import FormatError
from offload.storage.records import Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

T = TypeVar("T", bound=Row)


def pack(value: object) -> bytes:
    """Give a value made of None, bool, int, float, str, bytes, lists and dicts as bytes; a row becomes a list."""
    import msgpack

    # Labels may hold what is no text: file names are bytes.
    packed: bytes = msgpack.packb(value, default=_values, unicode_errors="surrogatepass")
    return packed


def unpack(data: bytes) -> Any:
    """Undo `pack`, except that rows stay lists.

    Raises
    ------
    FormatError
        The bytes are not what `pack` gives.
    """
    import msgpack

    try:
        return msgpack.unpackb(data, unicode_errors="surrogatepass")
    except (ValueError, msgpack.UnpackException) as error:
        raise FormatError(f"a body is no MessagePack: {error}") from error


def row(kind: type[T], values: Sequence[Any]) -> T:
    """Make a row of the values that `pack` took from one."""
    return kind(**dict(zip(kind.__slots__, values, strict=True)))


def _values(value: object) -> list[object]:
    if isinstance(value, Row):
        return [getattr(value, name) for name in value.__slots__]
    raise TypeError(f"{type(value).__name__} has no place in a body")
