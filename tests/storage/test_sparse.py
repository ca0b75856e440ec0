"""Files with holes."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from offload.util.sparse import SparseWriter

HOLE = 64 * 1024


@pytest.mark.parametrize("seed", range(30))
def test_what_is_written_is_what_was_given(tmp_path: Path, seed: int) -> None:
    """Wherever the zeros are, in pieces of any size."""
    some = random.Random(seed)
    lengths = (0, 1, 1000, HOLE - 1, HOLE, HOLE + 1, 3 * HOLE, 5 * HOLE + 77)
    data = b"".join(
        bytes(length) if some.random() < 0.6 else some.randbytes(length)
        for length in (some.choice(lengths) for _ in range(some.randrange(8)))
    )
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    writer = SparseWriter(descriptor)
    begin = 0
    while begin < len(data):
        end = begin + some.choice(lengths)
        writer.write(data[begin:end])
        begin = end
    writer.finish()
    os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == data
