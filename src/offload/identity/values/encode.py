"""Canonical values: equal values give the same bytes, different values never do.

The bytes are CBOR (RFC 8949) with a few private tags, written by rules that leave no choice: integers in
their shortest form, floats always as 64 bits, containers with definite lengths. Every Python type has an
encoding of its own, so ``1``, ``1.0``, ``True``, ``"1"``, ``b"1"``, ``(1,)`` and ``[1]`` are all different.
Dicts keep their order, which a program can see; sets have none and are sorted by their elements' bytes.

Only the exact built-in types are encoded here. Every other type goes through :mod:`offload.identity.values.objects`,
which this module imports when it first meets one, so that the common case stays light.
"""

from __future__ import annotations

from hashlib import sha256
from struct import Struct

from offload.errors import CycleError, EncodeError
from offload.identity.values.cbor import (
    BYTEARRAY,
    COMPLEX,
    ELLIPSIS,
    FROZENSET,
    POSITIVE_BIGNUM,
    SET,
    SURROGATES,
    TUPLE,
    head,
    pack,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from offload.identity.references import Names
    from offload.identity.values.globals import Pieces

    Chunk = bytes | memoryview
    Write = Callable[["Encoder", Any], None]

# A list of this many plain numbers or strings is packed: thousands of times fewer Python steps.
PACKED_LENGTH = 16
# Deep enough for data, and so that decoding stays within Python's own limit.
MAX_DEPTH = 100

_DOUBLE = Struct(">d").pack


class Raw:
    """A byte string within an encoding that is kept as a view of the memory where it lies."""

    __slots__ = ("view",)

    def __init__(self, view: memoryview) -> None:
        self.view = view


class Encoder:
    """Writes values, one after another, as chunks of bytes.

    Parameters
    ----------
    portable : bool
        Whether the bytes must be decodable by themselves. Results are; arguments are only hashed, so a function
        among them needs its identity and not its code.
    parts : dict, optional
        Receives the lists, dicts, sets and objects that are met; one that is met again is then refused.
    refer : callable, optional
        How a class, function or module found inside a value is named. It returns a value to encode in its place. By
        default that is the digest of all that the thing reaches.
    pieces : Pieces, optional
        Takes note of what is written; objects that it knows stand in the bytes as the checksum of what was written.
    names : Names, optional
        Tells under which names objects are found, by their ids: decoding takes what stands there, if it is the same.

    Attributes
    ----------
    beginnings : dict
        What the instances of some classes begin with.
    exact : bool or None
        Whether what is decoded is known to be what was written; None where a class of a library sets its own state,
        which it may alter.
    """

    names_pieces = True
    skips_filled = False  # whether attributes that objects have computed and kept are left out
    __slots__ = (
        "beginnings", "chunks", "depth", "exact", "laid", "modules", "names", "open", "parts", "pieces", "portable",
        "refer",
    )  # fmt: skip

    def __init__(
        self,
        portable: bool = True,
        refer: Callable[[object], object] | None = None,
        parts: dict[int, object] | None = None,
        pieces: Pieces | None = None,
        names: Names | None = None,
    ) -> None:
        self.chunks: list[Chunk] = []
        self.modules: set[str] = set()
        self.beginnings: dict[type, bytes] = {}
        self.portable = portable
        self.laid = portable  # whether it is told how arrays lie in memory
        self.names = names
        self.exact: bool | None = True
        self.refer = refer
        self.open: set[int] = set()
        self.parts = parts
        self.pieces = pieces
        self.depth = 0

    def write(self, value: object) -> None:
        """Append the encoding of `value`.

        Raises
        ------
        EncodeError
            If the value contains itself, is nested too deeply, or holds something that cannot be encoded.
        """
        writer = _WRITERS.get(type(value))
        if writer is None:
            from offload.identity.values.objects import write_object

            writer = write_object
        writer(self, value)

    def write_unnoted(self, value: object) -> None:
        """Append the encoding of what is held weakly: notes of its pieces would keep it."""
        pieces = self.pieces
        self.pieces = None if pieces is None else type(pieces)()
        self.write(value)
        self.pieces = pieces

    def tag(self, number: int) -> None:
        """Append the head of a tag; the tagged value must follow."""
        self.chunks.append(head(6, number))

    def array(self, length: int) -> None:
        """Append the head of an array; `length` values must follow."""
        self.chunks.append(head(4, length))

    def enter(self, value: object) -> None:
        """Note that `value` is being written; refuse it when it already is."""
        if id(value) in self.open:
            raise CycleError.of(value)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise EncodeError(f"a value is nested more than {MAX_DEPTH} levels deep", "pass a flatter value")
        self.open.add(id(value))

    def meet(self, value: object) -> None:
        """Note a part that can change; refuse it where it stands in two places, if that is asked for."""
        if self.pieces is not None:
            self.pieces.note(value)
        if self.parts is not None:
            if id(value) in self.parts:
                raise EncodeError(f"a {type(value).__name__} stands in two places")
            self.parts[id(value)] = value  # kept, so that its id stays its own

    def opaque(self) -> None:
        """Note that a value is written of which only writing it again tells whether it is the same."""
        if self.pieces is not None:
            self.pieces.opaque = True

    def leave(self, value: object) -> None:
        """Note that `value` has been written."""
        self.depth -= 1
        self.open.discard(id(value))

    def orders(self) -> bool:
        """Tell whether the order matters in which the items of a set are written: what they refer to gets numbers."""
        return self.refer is not None

    def trial(self) -> Encoder:
        """Return an encoder that writes as this one would, and leaves no trace here."""
        from offload.identity.values.set_order import sorting_name

        return Encoder(portable=False, refer=sorting_name)


def _write_none(encoder: Encoder, value: None) -> None:
    encoder.chunks.append(b"\xf6")


def _write_bool(encoder: Encoder, value: bool) -> None:
    encoder.chunks.append(b"\xf5" if value else b"\xf4")


def _write_ellipsis(encoder: Encoder, value: object) -> None:
    encoder.chunks.append(head(6, ELLIPSIS) + b"\xf6")


def _write_int(encoder: Encoder, value: int) -> None:
    major, argument = (0, value) if value >= 0 else (1, -1 - value)
    if argument < 0x10000000000000000:
        encoder.chunks.append(head(major, argument))
    else:
        data = argument.to_bytes((argument.bit_length() + 7) // 8, "big")
        encoder.chunks.append(head(6, POSITIVE_BIGNUM + major) + head(2, len(data)) + data)


def _write_float(encoder: Encoder, value: float) -> None:
    encoder.chunks.append(b"\xfb" + _DOUBLE(value))


def _write_complex(encoder: Encoder, value: complex) -> None:
    encoder.chunks.append(head(6, COMPLEX) + head(4, 2) + b"\xfb" + _DOUBLE(value.real) + b"\xfb" + _DOUBLE(value.imag))


def _write_str(encoder: Encoder, value: str) -> None:
    try:
        data = value.encode()
    except UnicodeEncodeError:  # lone surrogates, as in undecodable file names
        data = value.encode("utf-8", "surrogatepass")
        encoder.chunks.append(head(6, SURROGATES) + head(2, len(data)) + data)
    else:
        encoder.chunks.append(head(3, len(data)) + data)


def _write_bytes(encoder: Encoder, value: bytes) -> None:
    encoder.chunks.append(head(2, len(value)))
    encoder.chunks.append(value)


def _write_raw(encoder: Encoder, value: Raw) -> None:
    encoder.chunks.append(head(2, len(value.view)))
    encoder.chunks.append(value.view)


def _write_bytearray(encoder: Encoder, value: bytearray) -> None:
    encoder.meet(value)
    encoder.tag(BYTEARRAY)
    _write_bytes(encoder, bytes(value))


def _write_list(encoder: Encoder, value: list[Any] | tuple[Any, ...]) -> None:
    if type(value) is list:
        encoder.meet(value)
    if len(value) >= PACKED_LENGTH:
        packed = pack(value if elsewhere is None else [_there(item) for item in value])
        if packed is not None:
            encoder.chunks.append(packed)
            return
    encoder.enter(value)
    encoder.chunks.append(head(4, len(value)))
    for item in value:
        _PLAIN.get(type(item), _write)(encoder, item)
    encoder.leave(value)


def _write_tuple(encoder: Encoder, value: tuple[Any, ...]) -> None:
    encoder.tag(TUPLE)
    _write_list(encoder, value)


def _write_dict(encoder: Encoder, value: dict[Any, Any]) -> None:
    encoder.meet(value)
    encoder.enter(value)
    encoder.chunks.append(head(5, len(value)))
    for key, item in value.items():
        if type(key) is str:
            encoder.chunks.append(_keys.get(key) or _key(key))
        else:
            encoder.write(key)
        _PLAIN.get(type(item), _write)(encoder, item)
    encoder.leave(value)


# The same few names come again and again: fields of records, attributes of objects.
_keys: dict[str, bytes] = {}
_MOST_KEYS, _LONG = 4096, 100


def _key(key: str) -> bytes:
    data = encode(key)
    if len(key) < _LONG:
        if len(_keys) >= _MOST_KEYS:
            _keys.clear()
        _keys[key] = data
    return data


def _write_sorted(encoder: Encoder, value: set[Any] | frozenset[Any]) -> None:
    if type(value) is set:
        encoder.meet(value)
    encoder.enter(value)
    chunks, items = encoder.chunks, []
    ordered: Iterable[Any] = value
    if encoder.orders() and not _PLAIN.keys() >= set(map(type, value)):
        from offload.identity.values.set_order import in_order

        ordered = in_order(encoder, value)
    for item in ordered:
        encoder.chunks = []
        encoder.write(item)
        items.append(b"".join(encoder.chunks))
    encoder.chunks = chunks
    chunks.append(head(6, SET if type(value) is set else FROZENSET) + head(4, len(items)))
    chunks.extend(sorted(items))
    encoder.leave(value)


def _write(encoder: Encoder, value: Any) -> None:
    encoder.write(value)


# All encoders write these alike: the items of containers, most of which are such, need not ask theirs.
_PLAIN: dict[type, Write] = {
    type(None): _write_none,
    bool: _write_bool,
    type(Ellipsis): _write_ellipsis,
    int: _write_int,
    float: _write_float,
    complex: _write_complex,
    str: _write_str,
    bytes: _write_bytes,
}
_WRITERS: dict[type, Write] = {
    **_PLAIN,
    bytearray: _write_bytearray,
    Raw: _write_raw,
    list: _write_list,
    tuple: _write_tuple,
    dict: _write_dict,
    set: _write_sorted,
    frozenset: _write_sorted,
}


elsewhere: Callable[[str], str] | None = None
"""Gives what a text that names files of this machine is where its code came from; None where all code is here."""


def tell_elsewhere(function: Callable[[str], str]) -> None:
    """Have texts and paths written as they are where code came from: where that lies here, is nothing of them."""
    global elsewhere
    elsewhere = function
    _PLAIN[str] = _WRITERS[str] = lambda encoder, value: _write_str(encoder, function(value))


def _there(value: Any) -> Any:
    return elsewhere(value) if elsewhere is not None and type(value) is str else value


def encode(value: object) -> bytes:
    """Return the canonical encoding of a value.

    Parameters
    ----------
    value : object
        Any value without cycles.

    Returns
    -------
    bytes
        Deterministic CBOR; :func:`offload.identity.values.decode.decode` turns it back.

    Raises
    ------
    EncodeError
        If the value contains itself or holds something that can be neither encoded nor pickled.

    Examples
    --------
    >>> encode([1, "a"]).hex()
    '82016161'
    >>> encode({1, 2, 3}) == encode({3, 2, 1})
    True
    """
    return b"".join(encode_chunks(value))


def encode_chunks(value: object) -> list[Chunk]:
    """Return the canonical encoding as chunks, so that large arrays are not copied."""
    encoder = Encoder()
    encoder.write(value)
    return encoder.chunks


class no_endless_recursion:  # noqa: N801 - it is used as a function is
    """Make a clear error of a value that leads to new objects each time that it is looked at, without an end."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def __enter__(self) -> None:
        """Nothing is needed before."""

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        """Raise another error in place of a `RecursionError`."""
        if isinstance(error, RecursionError):
            cls = type(self._value)
            raise EncodeError(
                f"a {cls.__module__}.{cls.__qualname__} leads to itself through objects that are made anew each time",
                'make it inside the function, or give the function a version: @offload.task(version="1")',
            ) from None


def identify(value: object, modules: set[str] | None = None) -> str:
    """Return the checksum of a value's encoding, for values that are only to be told apart.

    Parameters
    ----------
    value : object
        Any value in which no list, dict or set contains itself, save through an object of a class. Functions, classes
        and modules in it count by all that they reach.
    modules : set of str, optional
        Receives the names of the modules whose types the value holds.
    """
    if type(value) is float:  # what sweeps and simulations are called with
        return sha256(b"\xfb" + _DOUBLE(value)).hexdigest()
    plain = _PLAIN.get(type(value))
    if plain is not None:  # these only append chunks: a whole encoder would take longer than all else
        encoder = Encoder.__new__(Encoder)
        encoder.chunks = []
        plain(encoder, value)
    else:
        encoder = _written(value)
        if modules is not None:
            modules |= encoder.modules
    if len(encoder.chunks) == 1:
        return sha256(encoder.chunks[0]).hexdigest()
    digest = sha256()
    for chunk in encoder.chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _written(value: object) -> Encoder:
    encoder = Encoder(portable=False)
    try:
        with no_endless_recursion(value):
            encoder.write(value)
    except CycleError:  # through objects that know each other, perhaps: these can be told apart
        from offload.identity.values.cycles import CyclicEncoder

        encoder = CyclicEncoder(plain=False)
        with no_endless_recursion(value):
            encoder.write(value)
    return encoder
