"""The machine of a worker of a deployment, as a site: commands run there for who may use the deployment."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import Empty, Full, Queue

from offload.engines.errands import Errand, Told
from offload.errors import OffloadError
from offload.hosts.base import Done, Line, NotDoneError, Site

PIECE, AHEAD = 1 << 20, 4

LONGEST_PAUSE = 20.0
"""Seconds after which a process hears of who feeds it, though nothing is ready for it."""

Ask = Callable[[Errand], Told]
"""Brings an exchange with a process to the worker, and its answer back."""


class WorkerHost(Site):
    """The machine of a worker.

    Parameters
    ----------
    name : str
        What it is called.
    worker : str
        The worker's address.
    ask : callable
        Brings exchanges there.
    """

    def __init__(self, name: str, worker: str, ask: Ask) -> None:
        self.name = name
        self._worker = worker
        self._ask = ask

    def command(self, words: Sequence[str]) -> list[str]:
        """Refuse: no command of this machine runs one there."""
        raise OffloadError(f"commands on {self.name} run through its deployment alone")

    def close(self) -> None:
        """Do nothing: each command is let go of as it ends."""

    def result(self, words: Sequence[str], data: bytes | Iterable[bytes], seconds: float, tell: Line | None) -> Done:
        """Run a command there and wait for its end."""
        key, number, deadline = secrets.token_hex(8), 0, time.monotonic() + seconds
        feed = _Feed([data] if isinstance(data, bytes) else data)
        out, err = [], _Lines(tell)
        piece: bytes | None = b""
        told = Told()
        try:
            while told.code is None:
                if time.monotonic() > deadline:
                    raise NotDoneError(f"{words[0]} on {self.name} was not done after {seconds:g} s")
                piece = feed.next() if piece is not None else None
                told = self._ask(Errand(self._worker, key, number, list(words), piece or b"", piece is None))
                number += 1
                out.append(told.out)
                err.take(told.err)
        except BaseException:
            if number:
                self._kill(key, number)
            raise
        finally:
            feed.end()
        return Done(tuple(words), told.code, b"".join(out), err.rest())

    def _kill(self, key: str, number: int) -> None:
        try:
            self._ask(Errand(self._worker, key, number + 1, [], kill=True))
        except OffloadError:
            pass  # it ends by itself where nobody asks for it any more


class _Lines:
    """Standard error, told a line at a time."""

    def __init__(self, tell: Line | None) -> None:
        self._tell = tell
        self._begun = b""
        self._kept: list[bytes] = []

    def take(self, data: bytes) -> None:
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            self._one(line + b"\n")

    def _one(self, line: bytes) -> None:
        if self._tell is None or self._tell(line.decode("utf-8", "replace").rstrip()) is not True:
            self._kept.append(line)

    def rest(self) -> bytes:
        if self._begun:
            self._one(self._begun)
        return b"".join(self._kept)


class _Feed:
    """What is to be written, in pieces of a good size, got ready in a thread: that may take long, and must not look as
    if nobody were there any more.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._ready: Queue[bytes | BaseException | None] = Queue(AHEAD)
        self._over = threading.Event()
        threading.Thread(target=self._run, args=(chunks,), name="offload-feed", daemon=True).start()

    def next(self) -> bytes | None:
        """Return the next piece, which may be empty; None where there is no more."""
        try:
            piece = self._ready.get(timeout=LONGEST_PAUSE)
        except Empty:
            return b""
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def end(self) -> None:
        """Get no more ready."""
        self._over.set()

    def _run(self, chunks: Iterable[bytes]) -> None:
        try:
            for piece in _pieces(chunks):
                if not self._put(piece):
                    return
            self._put(None)
        except BaseException as exc:  # whoever waits is told
            self._put(exc)

    def _put(self, piece: bytes | BaseException | None) -> bool:
        while not self._over.is_set():
            with contextlib.suppress(Full):
                self._ready.put(piece, timeout=1.0)
                return True
        return False


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Give what is to be written in pieces of a good size."""
    held, size = [], 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= PIECE:
            whole = b"".join(held)
            for start in range(0, len(whole), PIECE):
                yield whole[start : start + PIECE]
            held, size = [], 0
    if size:
        yield b"".join(held)
