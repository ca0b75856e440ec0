"""Readers behave as files over the same bytes do."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offload.errors import BufferMissingError
from offload.identity.checksums import BLOCK, checksum
from offload.storage.local.store import DirectoryStore

DATA = Random(1).randbytes(2 * BLOCK + 12_345)
OFFSETS = st.one_of(
    st.integers(0, len(DATA) + 10), st.sampled_from([BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, len(DATA)])
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("seek"), OFFSETS, st.just(os.SEEK_SET)),
        st.tuples(st.just("seek"), OFFSETS.map(lambda offset: -offset), st.just(os.SEEK_END)),
        st.tuples(st.just("read"), st.one_of(st.just(-1), st.integers(0, BLOCK * 2)), st.just(0)),
        st.tuples(st.just("readinto"), st.integers(0, BLOCK + 100), st.just(0)),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectoryStore]:
    with DirectoryStore(str(tmp_path_factory.mktemp("reader") / "store")) as store:
        store.put([DATA, DATA[:1000]])
        yield store


def do(file: io.RawIOBase | io.BytesIO, step: tuple[str, int, int]) -> object:
    action, number, whence = step
    if action == "seek":
        size = file.seek(0, os.SEEK_END)
        return file.seek(max(number, -size), whence)
    if action == "read":
        return file.read(number), file.tell()
    target = bytearray(number)
    return file.readinto(target), target, file.tell()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.sampled_from([DATA, DATA[:1000]]))
def test_any_seeks_and_reads(store: DirectoryStore, steps: list[tuple[str, int, int]], data: bytes) -> None:
    same = io.BytesIO(data)
    with store.open(checksum(data)) as reader:
        for step in steps:
            assert do(reader, step) == do(same, step)


def test_as_other_libraries_use_it(store: DirectoryStore) -> None:
    with store.open(checksum(DATA)) as reader:
        assert reader.readable() and reader.seekable() and not reader.writable()
        buffered = io.BufferedReader(reader, 100_000)
        assert buffered.read(10) == DATA[:10]
        assert buffered.seek(-5, os.SEEK_END) == len(DATA) - 5
        assert buffered.read() == DATA[-5:]
        buffered.detach()
        with pytest.raises(ValueError):
            reader.seek(-1)
    with pytest.raises(ValueError):
        reader.read(1)
    with pytest.raises(ValueError):
        reader.seek(0)
    reader.close()


def test_each_block_is_verified_once(store: DirectoryStore, tmp_path: Path) -> None:
    data = DATA[::-1]
    [name] = store.put([data])
    path = Path(store._index.files.place(name))
    with store.open(name) as reader:
        reader.seek(BLOCK)
        reader.read(1)
        reader.seek(0)
        reader.read(1)
        path.chmod(0o644)
        with path.open("r+b") as file:
            file.seek(2 * BLOCK)
            file.write(b"\0" * 10)
        reader.seek(BLOCK - 3)
        assert reader.read(10) == data[BLOCK - 3 : BLOCK + 7]
        with pytest.raises(BufferMissingError, match="corrupt"):
            reader.read(BLOCK)
    assert store.has([name]) == [False]


def test_a_file_that_was_cut_short_while_it_was_read(store: DirectoryStore) -> None:
    data = DATA[1:]
    [name] = store.put([data])
    with store.open(name) as reader:
        for start in (0, BLOCK, 2 * BLOCK):
            reader.seek(start)
            reader.read(1)
        os.truncate(store._index.files.place(name), 100)
        reader.seek(50)
        with pytest.raises(BufferMissingError, match="corrupt"):
            reader.read(100)
