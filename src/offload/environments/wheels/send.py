"""Wheels on their way to the other machine: packed as they go, one stream."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO

from offload.environments.installed import Installed
from offload.environments.wheels.pack import pack
from offload.notices import counted

_AHEAD = 2
_PIECE = 1 << 20
_SAY_EVERY = 5.0

Wheel = tuple[str, Installed | str]
"""A wheel's file name, and the distribution that it is packed from, or the path of a file here."""


class Sending:
    """The stream of wheels: for each a line of JSON, then its bytes.

    Parameters
    ----------
    wheels : sequence of (str, Installed or str)
        What to send.
    say : callable
        Is told how far it has come.

    Attributes
    ----------
    count, size : int
        How many wheels and bytes have been sent.
    """

    def __init__(self, wheels: Sequence[Wheel], say: Callable[[str], None]) -> None:
        self._wheels = wheels
        self._say = say
        self._said = time.monotonic()
        self.count, self.size = 0, 0

    def __iter__(self) -> Iterator[bytes]:
        waiting = iter(self._wheels)
        ahead: list[tuple[str, Future[IO[bytes]]]] = []
        with ThreadPoolExecutor(_AHEAD) as pool:
            try:
                while True:
                    while len(ahead) <= _AHEAD and (wheel := next(waiting, None)) is not None:
                        ahead.append((wheel[0], pool.submit(_packed, wheel[1])))
                    if not ahead:
                        break
                    name, packed = ahead.pop(0)
                    with packed.result() as file:
                        yield from self._framed(name, file)
                    self.count += 1
            finally:  # where nobody takes them any more
                for _, packed in ahead:
                    if packed.exception() is None:
                        packed.result().close()
        yield json.dumps({"end": True}).encode() + b"\n"
        if self._wheels:
            self._say(f"sent {self.count} of {counted(len(self._wheels), 'wheel')}, {_megabytes(self.size)}")

    def _framed(self, name: str, file: IO[bytes]) -> Iterator[bytes]:
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        yield json.dumps({"name": name, "size": size, "sha256": digest}).encode() + b"\n"
        while piece := file.read(_PIECE):
            yield piece
            self.size += len(piece)
            if time.monotonic() - self._said > _SAY_EVERY:
                self._said = time.monotonic()
                self._say(
                    f"sending {self.count + 1} of {counted(len(self._wheels), 'wheel')}, {_megabytes(self.size)} so far"
                )


def _packed(source: Installed | str) -> IO[bytes]:
    if isinstance(source, str):
        return open(source, "rb")
    file = tempfile.TemporaryFile()  # noqa: SIM115 - who takes it closes it
    pack(source, file)
    file.seek(0)
    return file


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
