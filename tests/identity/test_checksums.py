"""Checksums of buffers, and digests of their blocks."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload.identity import checksums
from offload.identity.checksums import BLOCK, DIGEST, EMPTY, BlockHasher, checksum, checksum_of_chunks, is_checksum


def test_checksums_are_sha256() -> None:
    assert checksum(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert checksum(b"") == EMPTY == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert checksum(memoryview(bytearray(b"abc"))) == checksum(b"abc")


@given(st.lists(st.binary(max_size=50)))
def test_chunks_count_as_one_buffer(chunks: list[bytes]) -> None:
    assert checksum_of_chunks(chunks) == checksum(b"".join(chunks))


@pytest.mark.parametrize("text", ["", EMPTY[:-1], EMPTY + "0", EMPTY.upper(), "g" * 64, " " + EMPTY[1:], "é" * 64])
def test_what_is_no_checksum(text: str) -> None:
    assert not is_checksum(text)
    assert is_checksum(EMPTY)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)), st.integers(1, 50))
def test_digests_of_blocks_do_not_depend_on_the_chunks(data: bytes, cuts: list[int], block: int) -> None:
    ends = sorted({*cuts, 0, len(data)} - set(range(len(data) + 1, 201)))
    before, checksums.BLOCK = checksums.BLOCK, block
    try:
        hasher = BlockHasher()
        for start, stop in zip(ends, ends[1:], strict=False):
            hasher.update(data[start:stop])
        digests = hasher.digests()
    finally:
        checksums.BLOCK = before
    expected = [sha256(data[start : start + block]).digest() for start in range(0, len(data), block)]
    assert digests == b"".join(expected)
    assert hasher.checksum() == checksum(data)
    assert hasher.size == len(data)


def test_a_large_chunk_has_many_blocks() -> None:
    data = bytes(3 * BLOCK + 1)
    hasher = BlockHasher(whole=False)
    hasher.update(data)
    assert len(hasher.digests()) == 4 * DIGEST
    assert hasher.digests()[:DIGEST] == sha256(data[:BLOCK]).digest()
    assert hasher.digests()[-DIGEST:] == sha256(b"\0").digest()
    with pytest.raises(ValueError):
        hasher.checksum()


def test_a_long_stream_is_hashed_on_two_threads() -> None:
    data = b"".join(b"%07d " % number for number in range(1_500_000))
    hasher = BlockHasher()
    for start in range(0, len(data), 300_001):
        hasher.update(data[start : start + 300_001])
        if start == 9_000_030:
            assert hasher.checksum() == checksum(data[: start + 300_001])
    hasher.close()
    assert hasher.checksum() == checksum(data)
    assert hasher.digests()[5 * DIGEST : 6 * DIGEST] == sha256(data[5 * BLOCK : 6 * BLOCK]).digest()
