"""Large pieces beside a pickle: what arrives is the same, can be changed, and is nobody else's."""

from __future__ import annotations

import mmap
import pickle
import socket
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import offload
from offload.errors import EncodeError
from offload.jobs.calls import protocol
from offload.jobs.calls.protocol import Delivery, SentCall
from offload.runners.frames import receive, send
from offload.tasks import replay
from offload.transport import large_arguments
from offload.transport.files import Staged, without_files
from offload.transport.function import Ways
from offload.transport.large_arguments import LARGE, beside
from offload.transport.pickling import _Bounded, packed
from offload.transport.sources import Sources

MANY = LARGE // 8 + 3

ARRAYS = {
    "plain": np.arange(float(MANY)),
    "in columns": np.asfortranarray(np.arange(4.0 * MANY).reshape(4, MANY)),
    "every second": np.arange(4.0 * MANY)[::2],
    "only read": np.arange(float(MANY)),
    "bytes": np.full(LARGE + 7, 5, np.uint8),
    "small": np.arange(5),
}
ARRAYS["only read"].flags.writeable = False


def through_a_socket(data: object) -> object:
    ours, theirs = socket.socketpair()
    found: list[object] = []
    with ours, theirs:
        reader = threading.Thread(target=lambda: found.append(receive(theirs)))
        reader.start()
        send(ours, data)
        reader.join()
    return found[0]


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("apart", [False, True], ids=["here", "in shared memory"])
def test_arrays_arrive_as_they_are_pickled(name: str, apart: bool) -> None:
    array = ARRAYS[name]
    data = packed((array, 5, array), {})
    assert isinstance(data, bytes | memoryview)
    arrived = through_a_socket([beside(data)] * 2) if apart else [data, data]
    assert isinstance(arrived, list)
    (((first, five, same), kwargs), _) = large_arguments.loads(arrived[0])
    assert (five, kwargs, first is same) == (5, {}, True)
    assert np.array_equal(first, array)
    assert (first.dtype, first.flags.writeable) == (array.dtype, array.flags.writeable)
    if first.flags.writeable:
        first += 1
        assert np.array_equal(array, first - 1)
        ((other, *_), _), _ = large_arguments.loads(arrived[1])
        assert np.array_equal(other, array)


def test_a_large_array_is_used_where_it_lies() -> None:
    data = packed((ARRAYS["plain"],), {})
    arrived = through_a_socket(beside(data))
    assert isinstance(arrived, memoryview)
    assert isinstance(arrived.obj, mmap.mmap)
    ((array,), _), _ = large_arguments.loads(arrived)
    assert np.shares_memory(array, np.frombuffer(arrived.obj, np.uint8))
    assert array.ctypes.data % 64 == 0


def test_several_pieces_through_shared_memory() -> None:
    sizes = LARGE + 1, LARGE + 5000, 3 * LARGE
    arrived = through_a_socket([beside(bytes([n]) * size) for n, size in enumerate(sizes)])
    assert isinstance(arrived, list)
    assert [bytes(piece) for piece in arrived] == [bytes([n]) * size for n, size in enumerate(sizes)]


def test_what_is_too_large_to_be_kept_is_not_copied() -> None:
    with _Bounded(replay.MOST_VALUE) as file:
        with pytest.raises(EncodeError):
            file.write(bytes(LARGE))
        assert not file.getvalue()
    tracemalloc.start()
    try:
        assert replay.value(ARRAYS["plain"]) == []
        assert tracemalloc.get_traced_memory()[1] < LARGE
    finally:
        tracemalloc.stop()


def test_what_a_client_and_the_job_service_say_is_not_copied() -> None:
    large, small = bytes(LARGE + 1), b"small"
    ways = Ways(large, Sources(), None, "no")
    for sent in (large, ways, Staged(large, [("a", "b", False)])):
        call = SentCall("t", b"record", b"details", sent)
        pieces = protocol.chunks(call)
        assert any(isinstance(piece, memoryview) and piece.obj is large for piece in pieces)
        arrived = protocol.load(memoryview(bytearray(b"".join(pieces))))
        assert (arrived.transformation, arrived.record, arrived.details) == ("t", b"record", b"details")
        # On to a worker, as Dask sends it: it may be a view by then.
        buffers: list[pickle.PickleBuffer] = []
        again = arrived.arguments
        if sent is not large:
            data = pickle.dumps(again, 5, buffer_callback=buffers.append)
            again = pickle.loads(data, buffers=[buffer.raw() for buffer in buffers])
        plain = without_files(again)
        assert (plain.by_name if isinstance(plain, Ways) else plain) == large
    first, (one, other, failed) = protocol.load(
        protocol.dump((3, [Delivery("t", large, None), Delivery("u", small, None), Delivery("v", None, None)]))
    )
    assert (first, bytes(one.data), other.data, failed.data) == (3, large, small, None)


@offload.task
def changed(array: np.ndarray) -> float:
    array[0] = 7.0
    return float(array.sum())


@pytest.mark.real
def test_a_call_may_change_a_large_argument(home: Path) -> None:
    array = np.ones(MANY)
    assert changed.submit(array).result(120) == MANY + 6.0
    assert array[0] == 1.0
    assert changed.submit(array).recalled
