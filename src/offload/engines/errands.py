"""Processes on a worker's machine that a client has asked for: it writes to them, and reads what they write.

Each exchange of the client's is a message to the worker, through the scheduler. One that is not heard of any more ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import subprocess
import threading
import time
from typing import Any, NamedTuple, cast

from offload.errors import OffloadError
from offload.storage.copies import no_fork

QUIET_SECONDS = 120.0
"""Seconds without an exchange after which a process is ended: who has asked for it is gone."""

WAIT_SECONDS, POLL = 5.0, 0.05
"""How long an exchange waits for something to tell at most."""

HANDLER = "offload_exchange"
GONE = "the worker on that machine has ended"

_PIECE = 1 << 16


class GoneError(OffloadError):
    """A process on a worker's machine is reached no more."""


class Errand(NamedTuple):
    """One exchange with a process.

    Attributes
    ----------
    worker : str
        The address of the worker whose machine it runs on.
    key : str
        By which the process is known there.
    number : int
        Of the exchange, from 0; the first one starts the process. One that comes twice is done once.
    words : list of str
        The command.
    data : bytes
        Goes to its standard input.
    ends : bool
        Whether that is all that goes there.
    kill : bool
        Whether to end the process.
    """

    worker: str
    key: str
    number: int
    words: list[str]
    data: bytes = b""
    ends: bool = False
    kill: bool = False


class Told(NamedTuple):
    """What is told in an exchange.

    Attributes
    ----------
    out, err : bytes
        What the process has written since the last one.
    code : int or None
        Its exit code, once it has ended and all is told; negative for a signal.
    """

    out: bytes = b""
    err: bytes = b""
    code: int | None = None


class _Process:
    def __init__(self, words: list[str]) -> None:
        with no_fork:
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                start_new_session=True, bufsize=0,
            )  # fmt: skip
        self._lock = threading.Lock()
        self._written: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
        self._readers = [
            threading.Thread(target=self._read, args=(pipe, which), daemon=True)
            for which, pipe in ((1, self._process.stdout), (2, self._process.stderr))
        ]
        for thread in self._readers:
            thread.start()
        self._last = -1, Told()
        self._turn = threading.Lock()
        self._asked = time.monotonic()
        threading.Thread(target=self._watch, name="offload-errand", daemon=True).start()

    def exchange(self, asked: Errand) -> Told:
        with self._turn:
            self._asked = time.monotonic()
            if asked.number <= self._last[0]:
                return self._last[1]
            if asked.kill:
                self.kill()
            self._write(asked)
            more = not asked.ends and bool(asked.data)
            deadline = time.monotonic() + (0.0 if more else WAIT_SECONDS)
            told = self._told()
            while told == Told() and time.monotonic() < deadline:
                time.sleep(POLL)
                told = self._told()
            self._asked = time.monotonic()
            self._last = asked.number, told
            return told

    def _write(self, asked: Errand) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ValueError):  # its exit code tells
            view = memoryview(asked.data)
            while view:
                view = view[pipe.write(view) :]
            if asked.ends or asked.kill:
                pipe.close()

    def _told(self) -> Told:
        code = self._process.poll()
        if code is not None:
            for thread in self._readers:
                thread.join(2.0)  # a program that it has left behind may hold its output open
        with self._lock:
            out, err = (bytes(self._written[which]) for which in (1, 2))
            for written in self._written.values():
                written.clear()
        return Told(out, err, code)

    def _read(self, pipe: Any, which: int) -> None:
        with pipe:
            while data := pipe.read(_PIECE):
                with self._lock:
                    self._written[which] += data

    def _watch(self) -> None:
        while self._process.poll() is None:
            if time.monotonic() - self._asked > QUIET_SECONDS:
                self.kill()
            time.sleep(1.0)

    def is_over(self) -> bool:
        return self._process.poll() is not None and time.monotonic() - self._asked > QUIET_SECONDS

    def kill(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


_processes: dict[str, _Process] = {}
_lock = threading.Lock()


def _exchange(asked: Errand) -> Told | str:
    with _lock:
        for key in [key for key, one in _processes.items() if one.is_over()]:
            del _processes[key]
        found = _processes.get(asked.key)
        if found is None:
            if asked.number:
                return GONE
            try:
                found = _processes[asked.key] = _Process(asked.words)
            except OSError as exc:
                return f"{asked.words[0]} cannot be started: {exc.strerror}"
    return found.exchange(asked)


async def _handle(asked: bytes, **more: object) -> bytes:
    """Exchange something with a process, or say why that cannot be; in a worker. Messages are pickled."""
    return pickle.dumps(await asyncio.to_thread(_exchange, pickle.loads(asked)))


def serve(worker: Any) -> None:
    """Have a Dask worker take exchanges."""
    worker.handlers[HANDLER] = _handle


def exchange(client: Any, asked: Errand) -> Told | str:
    """Exchange something with a process on the machine of a worker, or say why that cannot be.

    Parameters
    ----------
    client : distributed.Client
        Connected to the worker's scheduler.
    asked : Errand
        What.
    """
    message = {"op": HANDLER, "asked": pickle.dumps(asked)}
    try:
        answers = client.sync(client.scheduler.broadcast, msg=message, workers=[asked.worker], on_error="raise")
        return cast("Told | str", pickle.loads(answers[asked.worker]))
    except Exception as exc:  # a client without its scheduler raises what comes along, and so does a worker's end
        return f"{GONE}: {exc}"
