"""Records of what commands gave: read by their places where nothing but output is in them, and all alike."""

from __future__ import annotations

import hashlib

import pytest

from offload.commands.result import CommandRecord, decode_record
from offload.errors import DecodeError
from offload.identity.values.decode import decode
from offload.identity.values.documents import encode_plain
from offload.storage.output_record import OutputRecord

OUT, ERR = (hashlib.sha256(data).hexdigest() for data in (b"out", b"err"))


@pytest.mark.parametrize("outputs", [[], [OutputRecord("made", "file", OUT, True)]])
def test_a_record_comes_back(outputs: list[OutputRecord]) -> None:
    data = CommandRecord(OUT, ERR, outputs).encode()
    found = decode_record(data)
    assert (found.stdout, found.stderr, found.encode()) == (OUT, ERR, data)


@pytest.mark.parametrize("change", [{"version": 2}, {"kind": "commanD"}])
def test_what_is_as_long_as_a_record_is_not_taken_for_one(change: dict[str, object]) -> None:
    data = CommandRecord(OUT, ERR, []).encode()
    other = encode_plain({**decode(data), **change})
    assert len(other) == len(data)
    with pytest.raises(DecodeError):
        decode_record(other)
