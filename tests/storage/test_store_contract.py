"""What every store does, whatever it is made of."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest

from offload.errors import BufferMissingError, ChecksumMismatchError, NotFoundError, NotWritableError, UsageError
from offload.identity.checksums import BLOCK, EMPTY, checksum
from offload.storage.records import Collected, Usage
from offload.storage.store import PACKED, Store
from tests.storage.conftest import Clock

ABSENT = checksum(b"absent")
SIZES = (0, 1, 1000, PACKED - 1, PACKED, PACKED + 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17)


def data_of(size: int, seed: int = 0) -> bytes:
    return Random(size + seed).randbytes(size)


@pytest.mark.parametrize("size", SIZES)
def test_a_buffer_comes_back_as_it_was_put(store: Store, size: int) -> None:
    data = data_of(size)
    assert store.put([data]) == [checksum(data)]
    assert store.get([checksum(data)]) == [data]
    assert store.sizes([checksum(data)]) == [size]
    with store.open(checksum(data)) as reader:
        assert reader.size == size
        assert reader.checksum == checksum(data)
        assert reader.read() == data
        assert reader.read() == b""


@pytest.mark.parametrize("size", SIZES)
def test_a_stream_and_a_file_are_kept_as_buffers_are(store: Store, size: int, tmp_path: Path) -> None:
    data = data_of(size)
    chunks = [data[start : start + 70_001] for start in range(0, size, 70_001)]
    assert store.put_stream(iter(chunks)) == checksum(data)
    assert store.get([checksum(data)]) == [data]
    assert store.delete([checksum(data)]) == 1
    (tmp_path / "file").write_bytes(data)
    assert store.put_file(str(tmp_path / "file"), expected=checksum(data)) == checksum(data)
    assert store.get([checksum(data)]) == [data]


def test_the_empty_buffer_is_a_buffer(store: Store) -> None:
    assert store.has([EMPTY]) == [False]
    store.put([b""])
    assert store.has([EMPTY]) == [True]
    assert store.get([EMPTY]) == [b""]


@pytest.mark.parametrize("size", [5000, PACKED, 2 * BLOCK + 5])
def test_a_buffer_may_be_given_in_chunks(store: Store, size: int) -> None:
    data = data_of(size)
    constant: list[bytes | memoryview] = [data[:1000], data[1000:]]
    changing: list[bytes | memoryview] = [memoryview(bytearray(data[:1000])), data[1000:]]
    assert store.put([constant, changing]) == [checksum(data)] * 2
    assert store.get([checksum(data)]) == [data]


def test_memoryviews_of_wide_items_count_by_bytes(store: Store) -> None:
    view: memoryview[Any] = memoryview(bytearray(data_of(PACKED))).cast("d")
    assert store.put([[view], [memoryview(bytearray())]]) == [checksum(view), EMPTY]
    assert store.get([checksum(view)]) == [bytes(view)]


def test_batches_keep_their_order_and_their_repetitions(store: Store) -> None:
    buffers = [b"%d" % (number % 2500) for number in range(5000)]
    checksums = store.put(buffers)
    assert checksums == [checksum(buffer) for buffer in buffers]
    asked = [ABSENT, *reversed(checksums), ABSENT]
    assert store.get(asked) == [None, *reversed(buffers), None]
    assert store.has(asked) == [False] + [True] * 5000 + [False]
    assert store.sizes(asked) == [None, *(len(buffer) for buffer in reversed(buffers)), None]
    assert store.usage().buffers == 2500


def test_empty_batches(store: Store) -> None:
    assert store.put([]) == []
    assert store.get([]) == []
    assert store.has([]) == []
    assert store.sizes([]) == []
    assert store.delete([]) == 0
    store.lease([]).release()


def test_a_buffer_is_named_by_its_first_digits(store: Store) -> None:
    checksums = store.put([b"%d" % number for number in range(40)])
    assert store.resolve(checksums[7]) == checksums[7]
    assert store.resolve(checksums[7][:12]) == checksums[7]
    assert store.resolve(ABSENT[:12]) is None
    firsts = [name[0] for name in checksums]
    with pytest.raises(UsageError, match="several"):
        store.resolve(next(digit for digit in firsts if firsts.count(digit) > 1))
    for text in ("", "xyz", "ABC", "0" * 65, "%"):
        with pytest.raises(UsageError, match="no checksum"):
            store.resolve(text)


def test_missing_buffers(store: Store, tmp_path: Path) -> None:
    assert store.has([ABSENT]) == [False]
    assert store.get([ABSENT]) == [None]
    assert store.sizes([ABSENT]) == [None]
    assert store.delete([ABSENT]) == 0
    with pytest.raises(BufferMissingError, match=ABSENT):
        store.open(ABSENT)
    with pytest.raises(BufferMissingError):
        store.extract(ABSENT, str(tmp_path / "file"))
    assert os.listdir(tmp_path) in ([], ["store"])


@pytest.mark.parametrize("size", [10, 2 * PACKED])
def test_unexpected_content_is_refused_and_not_kept(store: Store, size: int, tmp_path: Path) -> None:
    data = data_of(size)
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ChecksumMismatchError):
        store.put_stream([data], expected=ABSENT)
    with pytest.raises(ChecksumMismatchError, match="file"):
        store.put_file(str(tmp_path / "file"), expected=ABSENT)
    assert store.usage() == Usage(0, 0)


def test_a_file_that_is_not_there(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        store.put_file(str(tmp_path / "nowhere"))
    with pytest.raises(NotFoundError):
        store.put_file(str(tmp_path))


@pytest.mark.parametrize("size", [0, 100, 2 * BLOCK + 3])
def test_extract(store: Store, size: int, tmp_path: Path) -> None:
    data = data_of(size)
    [name] = store.put([data])
    target = tmp_path / "out"
    target.mkdir()
    (target / "file").write_bytes(b"older")
    store.extract(name, str(target / "file"), mode=0o750)
    assert (target / "file").read_bytes() == data
    assert stat.S_IMODE((target / "file").stat().st_mode) == 0o750
    assert os.listdir(target) == ["file"]
    (target / "file").write_bytes(b"edited")
    assert store.get([name]) == [data]


def test_extract_where_nothing_can_be_written(store: Store, tmp_path: Path) -> None:
    [name] = store.put([b"data"])
    (tmp_path / "directory").mkdir()
    with pytest.raises(NotWritableError, match="is a directory"):
        store.extract(name, str(tmp_path / "directory"))
    with pytest.raises(NotFoundError, match="no directory"):
        store.extract(name, str(tmp_path / "nowhere" / "file"))


def test_delete(store: Store) -> None:
    small, large = store.put([b"small", data_of(2 * PACKED)])
    assert store.delete([small, large, small, ABSENT]) == 2
    assert store.get([small, large]) == [None, None]
    assert store.usage() == Usage(0, 0)
    assert store.put([b"small", data_of(2 * PACKED)]) == [small, large]
    assert store.get([small, large]) == [b"small", data_of(2 * PACKED)]


def test_usage(store: Store) -> None:
    assert store.usage() == Usage(0, 0)
    store.put([b"one", b"three", b"one", data_of(PACKED)])
    assert store.usage() == Usage(3, 8 + PACKED)


def test_collect_takes_the_longest_unused_first(store: Store, clock: Clock) -> None:
    names = []
    for number in range(5):
        names += store.put([b"%d" % number * 100])
        clock.now += 7200
    store.get([names[0]])
    clock.now += 7200
    store.put([b"1" * 100])
    told = store.collect(300, dry_run=True)
    assert sorted(told.largest) == sorted([name, 100] for name in names[2:4])
    told.largest = []
    assert told == Collected(2, 200, 3, 300, 0)
    assert store.has(names) == [True] * 5
    assert store.collect(300) == Collected(2, 200, 3, 300, 0)
    assert store.has(names) == [True, True, False, False, True]
    assert store.collect(300) == Collected(0, 0, 3, 300, 0)


def test_collect_takes_first_what_could_never_stay(store: Store, clock: Clock) -> None:
    small = store.put([b"%d" % number * 100 for number in range(5)])
    clock.now += 7200
    [large] = store.put([data_of(BLOCK)])
    assert store.collect(BLOCK - 1) == Collected(1, BLOCK, 5, 500, 0)
    assert store.has([*small, large]) == [True] * 5 + [False]


def test_collect_never_takes_leased_buffers(store: Store) -> None:
    leased, free, large = store.put([b"leased", b"free", data_of(PACKED)])
    with store.lease([leased, large]):
        assert store.collect(0) == Collected(1, 4, 2, 6 + PACKED, 2)
        assert store.has([leased, free, large]) == [True, False, True]
        assert store.delete([leased]) == 0
    assert store.collect(0) == Collected(2, 6 + PACKED, 0, 0, 0)


def test_a_lease_may_come_before_its_buffer(store: Store) -> None:
    with store.lease([checksum(b"later")]):
        store.put([b"later"])
        assert store.collect(0).leased == 1
        assert store.get([checksum(b"later")]) == [b"later"]


def test_leases_expire_unless_they_are_renewed(store: Store, clock: Clock) -> None:
    [one, two] = store.put([b"one", b"two"])
    first, second = store.lease([one], seconds=100), store.lease([two], seconds=100)
    clock.now += 90
    second.renew(100)
    clock.now += 90
    assert store.collect(0).buffers == 1
    assert store.has([one, two]) == [False, True]
    second.release()
    second.release()
    with pytest.raises(ValueError):
        second.renew()
    first.release()
    assert store.collect(0).buffers == 1


def test_a_buffer_that_two_lease_stays_until_both_let_go(store: Store) -> None:
    [name] = store.put([b"shared"])
    first, second = store.lease([name]), store.lease([name, name])
    first.release()
    assert store.collect(0).buffers == 0
    second.release()
    assert store.collect(0).buffers == 1


def test_an_open_reader_reads_on_while_the_store_is_collected(store: Store) -> None:
    data = data_of(2 * BLOCK)
    [name] = store.put([data])
    with store.open(name) as reader:
        assert reader.read(10) == data[:10]
        store.collect(0)
        assert reader.read() == data[10:]


def test_many_threads_at_once(store: Store) -> None:
    def work(worker: int) -> None:
        for number in range(20):
            mine, ours = b"%d %d" % (worker, number), b"ours %d" % number * 10_000
            names = store.put([mine, ours])
            assert store.get(names) == [mine, ours]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert store.usage().buffers == 8 * 20 + 20
