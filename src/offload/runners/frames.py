"""Messages between a worker and a runner: frames on a socket of this machine.

A frame is pickled. What the pickle has beside it, a `PickleBuffer` for each piece, goes through memory that both sides
share: a large argument is copied once on its way, into that memory. Who receives it may write to it, and changes
nothing that others see.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import struct
import tempfile
from itertools import accumulate

from offload.transport.large_arguments import OwnCopy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_HEAD = struct.Struct("<QI")  # how long the pickle is, and how many pieces there are beside it
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def send(to: socket.socket, value: object) -> None:
    """Send one message."""
    pieces: list[memoryview] = []
    data = pickle.dumps(value, 5, buffer_callback=lambda buffer: pieces.append(buffer.raw()))
    head = _HEAD.pack(len(data), len(pieces)) + struct.pack(f"<{len(pieces)}Q", *(piece.nbytes for piece in pieces))
    if not pieces:
        to.sendall(head + data)
        return
    shared = memory()
    try:
        starts = _starts([piece.nbytes for piece in pieces])
        os.ftruncate(shared, starts[-1])  # so that the last page of each piece is there as a whole
        for piece, start in zip(pieces, starts, strict=False):
            written = 0
            while written < piece.nbytes:
                written += os.pwrite(shared, piece[written:], start + written)
        sent = socket.send_fds(to, [head], [shared])
    finally:
        os.close(shared)
    to.sendall((head + data)[sent:])


def receive(source: socket.socket) -> Any:
    """Wait for one message, and return it; pieces that came beside it are views of the shared memory.

    Raises
    ------
    EOFError
        If the other side is gone.
    """
    head, shared, _, _ = socket.recv_fds(source, _HEAD.size, 1, _CLOEXEC)
    try:
        length, count = _HEAD.unpack(head + _exactly(source, _HEAD.size - len(head)))
        sizes = struct.unpack(f"<{count}Q", _exactly(source, 8 * count))
        pieces = [
            memoryview(OwnCopy(shared[0], size, access=mmap.ACCESS_COPY, offset=start))
            for size, start in zip(sizes, _starts(sizes), strict=False)
        ]
    finally:
        for descriptor in shared:
            os.close(descriptor)
    return pickle.loads(_exactly(source, length), buffers=pieces)


def _starts(sizes: Sequence[int]) -> list[int]:
    """Return where pieces of these sizes begin in the memory, and where it ends: each has pages of its own."""
    page = mmap.ALLOCATIONGRANULARITY
    return [0, *accumulate(-(-size // page) * page for size in sizes)]


def _exactly(source: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    view, had = memoryview(data), 0
    while had < length:
        try:
            got = source.recv_into(view[had:])
        except ConnectionError:
            got = 0
        if not got:
            raise EOFError
        had += got
    return data


def memory() -> int:
    """Return the descriptor of new memory that can be shared."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("offload")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
