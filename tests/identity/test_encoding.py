"""Canonical values: round trip, injectivity, well-formed CBOR, and errors for all that has no encoding."""

from __future__ import annotations

import copy
import hashlib
import math
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

import cbor2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from offload.errors import DecodeError, EncodeError
from offload.identity.values import cbor
from offload.identity.values.decode import decode
from offload.identity.values.encode import MAX_DEPTH, PACKED_LENGTH, encode, encode_chunks, identify

quick = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))

text = st.text(st.characters() | st.characters(categories=["Cs"]) | st.sampled_from("a\0é€𝄞"))
hashable_atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 3)
    | st.sampled_from(
        [2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64 - 1, 2**64, -(2**64), -(2**64) - 1, 23, 24, 255, 256]
    )
    | st.floats(width=64)
    | st.sampled_from([0.0, -0.0, 1.0, -1.0, math.inf, -math.inf])
    | st.complex_numbers(allow_nan=False)
    | text
    | st.binary()
    | st.just(...)
)
hashable = st.recursive(
    hashable_atoms,
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=6,
)
many = st.sampled_from([st.integers(-(2**63), 2**63 - 1), st.integers(), st.booleans(), st.floats(), text]).flatmap(
    lambda items: st.lists(items, min_size=PACKED_LENGTH - 1, max_size=PACKED_LENGTH + 1)
)
values = st.recursive(
    hashable_atoms | st.binary().map(bytearray) | many | many.map(tuple),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
        | st.frozensets(hashable, max_size=4)
    ),
    max_leaves=15,
)


def key(value: Any) -> Any:
    """What a value is, with its types: equal for those values that must have the same bytes, and for no others."""
    kind = type(value).__name__
    if isinstance(value, float):
        return kind, struct.pack(">d", value)
    if isinstance(value, complex):
        return kind, struct.pack(">dd", value.real, value.imag)
    if isinstance(value, list | tuple):
        return kind, tuple(map(key, value))
    if isinstance(value, dict):
        return kind, tuple((key(k), key(v)) for k, v in value.items())
    if isinstance(value, set | frozenset):
        return kind, frozenset(map(key, value))
    if isinstance(value, bytearray):
        return kind, bytes(value)
    return kind, value


@quick
@given(values)
@example([float("nan")] * 20)
@example(["\ud800"] * 20)
@example(["𝄞é", ""] * 8)
def test_round_trip(value: Any) -> None:
    assert key(decode(encode(value))) == key(value)


@quick
@given(values, values)
def test_different_values_have_different_bytes(one: Any, other: Any) -> None:
    assert (encode(one) == encode(other)) == (key(one) == key(other))


DIFFERENT: list[Any] = [
    *[None, False, True, 0, 1, -1, 0.0, -0.0, 1.0, "", "0", "1", b"", b"1", bytearray(b"1"), ..., 1 + 0j, 0j, -0j],
    *[(), [], {}, set(), frozenset(), (1,), [1], [True], [1.0], ["1"], [b"1"], {1}, frozenset({1}), {1: 1}, {1: True}],
    *[[[]], [()], ([],), [None], [[], []], [1, 2], [2, 1], {1: 2, 3: 4}, {3: 4, 1: 2}, "\ud800", b"\xed\xa0\x80"],
    *[float("nan"), -float("nan"), struct.unpack(">d", bytes.fromhex("7ff8000000000001"))[0], math.inf, -math.inf],
    *[2**64, -(2**64), 2**64 - 1, -(2**64) - 1, 2**63, float(2**63), [1] * 16, [1] * 17, (1,) * 16, [1.0] * 16],
    *[[True] * 16, [1] * 15 + [True], [1] * 15 + [1.0], ["a"] * 16, ["aa", ""] * 8, ["", "aa"] * 8, [b"a"] * 16],
    *[[0] * 16, [0.0] * 16, [-0.0] * 16, ["\ud800"] * 16, [2**63] * 16, [None] * 16],
    # What packed lists look like inside, as plain values.
    *[bytes(8 * 16), [bytes(8 * 16), b""]],
]


def test_look_alikes_have_different_bytes() -> None:
    encoded = [encode(value) for value in DIFFERENT]
    same = [(DIFFERENT[i], v) for n, v in enumerate(DIFFERENT) for i in range(n) if encoded[i] == encoded[n]]
    assert not same


class Int(int):
    pass


class Float(float):
    pass


class Str(str):
    __slots__ = ()


class Bytes(bytes):
    pass


class List(list[int]):
    pass


class Tuple(tuple[int, ...]):
    __slots__ = ()


class Dict(dict[str, int]):
    pass


class Set(set[int]):
    pass


class Frozen(frozenset[int]):
    pass


SUBCLASSES = [Int(1), Float(1), Str("1"), Bytes(b"1"), List([1]), Tuple((1,)), Dict(a=1), Set({1}), Frozen({1})]


@pytest.mark.parametrize("value", SUBCLASSES, ids=lambda value: type(value).__name__)
def test_an_instance_of_a_subclass_is_not_a_plain_one(value: Any) -> None:
    plain = type(value).__bases__[0](value)
    assert encode(value) != encode(plain)
    for wrap in (lambda v: [v], lambda v: [v] * 20, lambda v: {"a": v}):
        assert encode(wrap(value)) != encode(wrap(plain))
    copy = decode(encode(value))
    assert type(copy) is type(value)
    assert copy == value


@quick
@given(st.sets(hashable, max_size=8), st.randoms())
def test_sets_have_no_order(value: set[Any], random: Any) -> None:
    shuffled = list(value)
    random.shuffle(shuffled)
    assert encode(set(shuffled)) == encode(value)
    assert encode(frozenset(shuffled)) == encode(frozenset(value))


@quick
@given(values)
def test_the_bytes_are_well_formed_cbor(value: Any) -> None:
    tagged = encode([1, value, 2])
    found = cbor2.loads(tagged, tag_hook=lambda *tag: "tagged")
    assert found[0] == 1
    assert found[2] == 2


@pytest.mark.parametrize(
    "value",
    [None, True, 0, 23, 24, 255, 256, 2**64 - 1, 2**64, -1, -(2**64), -(2**80), 1.5, math.inf, "", "é€𝄞", b"\0\xff",
     [1, [2]], {"a": [None], "b": 2}, {1, 2}],
)  # fmt: skip
def test_cbor2_reads_what_is_plain(value: object) -> None:
    assert cbor2.loads(encode(value)) == value


@pytest.mark.parametrize(
    "value", [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1, 2**64, -1, -25, -(2**70)]
)
def test_integers_are_as_short_as_cbor_allows(value: int) -> None:
    assert encode(value) == cbor2.dumps(value, canonical=True)


@pytest.mark.parametrize("length", [PACKED_LENGTH - 1, PACKED_LENGTH, PACKED_LENGTH + 1])
@pytest.mark.parametrize("item", [1, -1, 2**63 - 1, -(2**63), 1.5, -0.0, "a", "𝄞", ""])
@pytest.mark.parametrize("kind", [list, tuple])
def test_lists_of_one_kind_are_packed_from_a_length_on(length: int, item: Any, kind: Any) -> None:
    value = kind([item] * length)
    packed = {cbor.INT64_ARRAY, cbor.FLOAT64_ARRAY, cbor.STRINGS}
    data = encode(value)
    if kind is tuple:
        data = data.removeprefix(cbor.head(6, cbor.TUPLE))
    found = cbor2.loads(data)
    assert (isinstance(found, cbor2.CBORTag) and found.tag in packed) == (length >= PACKED_LENGTH)
    assert key(decode(encode(value))) == key(value)


@pytest.mark.parametrize("odd", [2**63, -(2**63) - 1, True, 1.0, "1", None])
@pytest.mark.parametrize("place", [0, 8, 15])
def test_one_odd_item_among_many_is_kept(odd: object, place: int) -> None:
    value: list[Any] = [1] * 16
    value[place] = odd
    assert key(decode(encode(value))) == key(value)
    assert encode(value) != encode([1] * 16)


def decoded(data: bytes) -> None:
    try:
        decode(data)
    except DecodeError:
        pass


# Tags of objects, classes and pickles stand for code: made-up ones may run it, as pickle would.
def harmless(data: bytes) -> bool:
    return not any(cbor.head(6, tag) in data for tag in range(cbor.OBJECT, cbor.NDARRAY + 1))


@settings(quick, max_examples=1000)
@given(st.binary(max_size=60).filter(harmless))
@example(b"")
@example(b"\x9b" + b"\xff" * 8)
@example(b"\xbb" + b"\xff" * 8)
@example(b"\x5b" + b"\xff" * 8)
@example(b"\x7b\x00\x00\x00\xff\xff\xff\xff\xff")
@example(b"\x81" * 100000)
@example(b"\xc2\xf6")
@example(b"\xd9\x01\x02\x81\x80")
@example(b"\xd8\x4f\x43abc")
@example(b"\xa1\x80\x00")
@example(b"\xf8\x18")
@example(b"\x62\xff\xff")
def test_garbage_is_a_decode_error(data: bytes) -> None:
    decoded(data)


@settings(quick, max_examples=500)
@given(values, st.data())
def test_damaged_encodings_are_decode_errors_or_other_values(value: object, data: st.DataObject) -> None:
    good = encode(value)
    place = data.draw(st.integers(0, len(good) - 1))
    with pytest.raises(DecodeError):
        decode(good[:place])
    with pytest.raises(DecodeError):
        decode(good + b"\0")
    bad = good[:place] + bytes([data.draw(st.integers(0, 255))]) + good[place + 1 :]
    if harmless(bad):
        decoded(bad)


@pytest.mark.parametrize("tag", [cbor.OBJECT, cbor.REDUCED, cbor.CLASS, cbor.FUNCTION, cbor.MODULE, cbor.PICKLE])
@pytest.mark.parametrize(
    "content", [None, 1, [], [1], ["x"], ["", ""], ["a", None, None], [1, 2, 3], [[1], None, b"x"], b"", b"x"]
)
def test_damaged_objects_are_decode_errors(tag: int, content: object) -> None:
    with pytest.raises(DecodeError):
        decode(cbor.head(6, tag) + encode(content))


def test_a_value_that_contains_itself_is_refused() -> None:
    items: list[object] = []
    items.append(items)
    table: dict[str, object] = {}
    table["a"] = (1, [table])
    for value in (items, table, [items], {"b": table}):
        with pytest.raises(EncodeError, match="contains itself"):
            encode(value)
        with pytest.raises(EncodeError, match="contains itself"):
            identify(value)


class Knot:
    def __init__(self, name: str, *others: Knot) -> None:
        self.name = name
        self.tied = {*others}
        for other in others:
            other.tied.add(self)

    @cached_property
    def view(self) -> list[Knot]:
        return [self]


def knots(name: str = "c") -> Knot:
    a = Knot("a")
    return Knot(name, a, Knot("b", a), *(Knot(str(n)) for n in range(5)))


def test_objects_that_know_each_other_are_told_apart() -> None:
    assert identify(knots()) == identify(knots()) == identify(copy.deepcopy(knots()))
    assert identify([knots()]) != identify(knots()) != identify(knots("d"))
    looked_at = knots()
    assert looked_at.view == [looked_at]
    assert identify(looked_at) == identify(pickle.loads(pickle.dumps(looked_at)))
    known, alone = knots(), knots()
    known.tied.pop().tied.clear()
    assert identify(known) != identify(alone)


def test_a_list_in_itself_is_refused_within_objects_too() -> None:
    knot = knots()
    loop: list[object] = [knot]
    loop.append((loop,))
    for value in (loop, [knot, loop], [*Knot("a", Knot("b")).view, loop]):
        with pytest.raises(EncodeError, match="a list contains itself"):
            identify(value)


def nested(depth: int, wrap: Callable[[Any], object]) -> object:
    value: object = 1
    for _ in range(depth):
        value = wrap(value)
    return value


class Box:
    def __init__(self, content: object) -> None:
        self.content = content


WRAPS: list[Callable[[Any], object]] = [
    lambda v: [v], lambda v: (v,), lambda v: {"a": v}, lambda v: frozenset([v]), lambda v: [(v,)], Box
]  # fmt: skip


@pytest.mark.parametrize("wrap", WRAPS)
def test_deep_nesting_is_refused(wrap: Callable[[Any], object]) -> None:
    with pytest.raises(EncodeError, match="levels deep"):
        encode(nested(MAX_DEPTH + 1, wrap))
    with pytest.raises(EncodeError, match="levels deep"):
        identify(nested(5000, wrap))


@pytest.mark.parametrize("wrap", WRAPS)
def test_what_is_encoded_can_be_decoded_however_deep(wrap: Callable[[Any], object]) -> None:
    deepest = MAX_DEPTH
    while True:
        try:
            data = encode(nested(deepest, wrap))
            break
        except EncodeError:
            deepest -= 1
    assert deepest >= MAX_DEPTH // 2
    assert encode(decode(data)) == data


def test_siblings_may_be_the_same_object() -> None:
    inner = [1, 2]
    assert encode([inner, inner]) == encode([[1, 2], [1, 2]])
    assert encode({"a": inner, "b": [inner]}) == encode({"a": [1, 2], "b": [[1, 2]]})


@quick
@given(values)
def test_identify_is_the_checksum_of_the_bytes(value: object) -> None:
    assert identify(value) == hashlib.sha256(encode(value)).hexdigest()
    assert b"".join(encode_chunks(value)) == encode(value)


SEEDED = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.identity.test_encoding import *
words = [f"w{i}" for i in range(50)]
value = {"set": set(words), "frozen": frozenset(map(tuple, zip(words, words))), "sub": Words(words)}
value["mixed"] = {1, "a", None, 2.5, (1,)}
print(encode(value).hex())
"""


class Words(set[str]):
    pass


def test_the_hash_seed_does_not_count() -> None:
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    found = {
        subprocess.run(
            [sys.executable, "-B", "-c", SEEDED, root], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, check=True, timeout=60,
        ).stdout
        for seed in ("0", "1", "17")
    }  # fmt: skip
    assert len(found) == 1


def test_an_int_and_its_decoding_may_be_huge() -> None:
    for value in (10**5000, -(10**5000)):
        assert decode(encode(value)) == value


def test_few_bytes_do_not_stand_for_many_texts() -> None:
    good = encode([f"a text, number {n}" for n in range(100)])
    assert decode(good)[7] == "a text, number 7"
    lengths = good.index((16).to_bytes(8, "little"))  # that of the first text
    for other in ((-16).to_bytes(8, "little", signed=True), (10**6).to_bytes(8, "little")):
        with pytest.raises(DecodeError, match=r"negative length|do not add up"):
            decode(good[:lengths] + other + good[lengths + 8 :])


def test_an_array_without_content_is_refused() -> None:
    import numpy as np

    empty = encode(np.empty((0,), "<f8"))
    assert decode(empty).shape == (0,)
    forged = empty.replace(b"\x81\x00\x40", b"\x81\x08\x40")
    assert forged != empty
    with pytest.raises(DecodeError, match="has no content"):
        decode(forged)
