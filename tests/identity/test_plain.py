"""Plain documents are written sooner, and as the canonical encoding writes them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload.errors import EncodeError
from offload.identity.values.documents import encode_plain
from offload.identity.values.encode import encode

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.tuples(st.integers()),
)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=20), st.dictionaries(st.text(), inner)), max_leaves=40
)


@given(DOCUMENTS)
def test_the_bytes_are_those_of_the_encoding(value: Any) -> None:
    assert encode_plain(value) == encode(value)


@pytest.mark.parametrize(
    "value", [["x"] * 15, ["x"] * 16, [1] * 300, "\udcff", {"a": {1, 2}}, [True, 1, 1.0], {1: "a"}]
)
def test_special_values(value: Any) -> None:
    assert encode_plain([value, value]) == encode([value, value])


def test_many_strings() -> None:
    words = [f"word {number}" for number in range(10_000)]
    assert b"".join(map(encode_plain, words * 2)) == b"".join(map(encode, words * 2))


def test_what_cannot_be_encoded() -> None:
    with open(__file__) as file, pytest.raises(EncodeError):
        encode_plain({"a": [file]})
