"""The worker's end of a runner: starts its process, gives it batches, passes on what it prints, and looks after it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from subprocess import _args_from_interpreter_flags as flags_of_this_process  # type: ignore[attr-defined]

from offload.commands.running.reaper import guardian
from offload.runners import frames, warden
from offload.runners.call_start import Moment
from offload.runners.journal import journal
from offload.runners.process import CLOSED, ENDED, WAITS
from offload.runners.pythons import variables
from offload.storage.copies import no_fork
from offload.transport.large_arguments import beside
from offload.util import process_usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from offload.errors import OffloadError
    from offload.runners.dask_client import Scheduler
    from offload.transport.batch import Batch
    from offload.transport.outcome import Outcome
    from offload.transport.python import Python

_START = """
import sys
sys.path[:] = sys.argv[4:]
from offload.runners.warden import stand_over
stand_over([*map(int, sys.argv[1:4])])
from offload.runners.process import main
main(*map(int, sys.argv[1:4]))
"""
_CHUNK, _WORDS = 65536, 2000
DYING_SECONDS, END_SECONDS = 5.0, 10.0


class DiedError(Exception):
    """A runner has ended while it ran a call."""


class Link:
    """A runner, as its worker sees it. It runs one batch at a time.

    Parameters
    ----------
    python : Python, optional
        The one to start it with, where it is another than the worker's own.

    Attributes
    ----------
    python : Python or None
        That one.
    served, refused : set of str
        Functions whose calls it has run, and those that it sends elsewhere.
    busy : bool
        Whether it is in use.
    since : float
        When it was last taken or given back, in monotonic seconds.
    batch : Batch or None
        What it runs.
    first : int
        The place of the first of its calls among those that its worker was given with them.
    unwanted : set of int
        Places of those that nobody waits for any more.
    broken : (float, OffloadError) or None
        When the call began that went beyond a limit, so that this was ended; and what to say of that.
    given_up : bool
        Whether it was ended for another reason that has nothing to do with its call: it had been stopped, or another
        call was unwanted.
    stopped : float or None
        Since when it has been.
    """

    def __init__(self, python: Python | None = None) -> None:
        self.python = python
        ours, theirs = socket.socketpair()
        shared = frames.memory()
        self._began = Moment(os.dup(shared))
        self._journal, written = journal()
        passed = theirs.fileno(), written, shared
        try:
            with theirs, no_fork:
                self._process = subprocess.Popen(
                    _own(passed) if python is None else python.start(flags_of_this_process(), passed),
                    env=None if python is None else variables(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    pass_fds=passed,
                    start_new_session=True,
                    bufsize=0,
                )
        except OSError:
            ours.close()
            self._journal.close()
            raise
        finally:
            os.close(shared)
            os.close(written)
        guardian.watch(self.root)  # should both this process and the warden be killed
        self._socket = ours
        self._is_told = False
        self._sent: list[Outcome] = []
        self._knows_scheduler = False
        assert self._process.stdout is not None and self._process.stderr is not None
        self.pipes = {self._process.stdout.fileno(): 1, self._process.stderr.fileno(): 2}
        for pipe in self.pipes:
            os.set_blocking(pipe, False)
        self._words: deque[bytes] = deque()
        self._reading = threading.Lock()
        self.served: set[str] = set()
        self.refused: set[str] = set()
        self.busy = False
        self.since = time.monotonic()
        self.batch: Batch | None = None
        self.first = 0
        self.unwanted: set[int] = set()
        self.broken: tuple[float, OffloadError] | None = None
        self.given_up = False
        self.stopped: float | None = None

    @property
    def pid(self) -> int:
        """Its process, in which calls run."""
        return self._began.pid or self._process.pid

    @property
    def root(self) -> int:
        """The process that all of its others descend from."""
        return self._process.pid

    @property
    def began(self) -> float:
        """When the call began that it runs, in monotonic seconds; 0.0 where it runs none."""
        return self._began.seconds

    @property
    def runs_unwanted(self) -> bool:
        """Whether nobody waits for the call that it runs any more."""
        return self.first + self._began.place in self.unwanted

    @property
    def is_fresh(self) -> bool:
        """Whether it has run nothing yet."""
        return not self.served and not self.refused

    def ask(self, batch: Batch, where: str, tired: bool, scheduler: Scheduler | None = None) -> None:
        """Have it run a batch; for `tired`, see :class:`offload.runners.batch.Listener`, for the scheduler `within`.

        Raises
        ------
        DiedError
            If it has ended.
        """
        calls, batch.calls = batch.calls, [beside(call) for call in batch.calls]
        self._words.clear()
        self._sent.clear()
        self._journal.empty()
        self._began.next_batch()
        self.batch = batch
        try:
            frames.send(self._socket, (batch, where, tired, None if self._knows_scheduler else scheduler))
            self._knows_scheduler = True
        except OSError as exc:
            raise DiedError from exc
        finally:
            batch.calls = calls

    def answer(self, waits: Callable[[], None] = lambda: None, within: float | None = None) -> tuple[str, Any]:
        """Wait, for some seconds or without end, until it has done with its batch, and return what it says of that.

        Parameters
        ----------
        waits : callable
            Called when what it runs may wait for others.

        Raises
        ------
        DiedError
            If it has ended, or has said nothing.
        """
        while True:
            if within is not None:
                self._socket.settimeout(within)
            try:
                kind, what = frames.receive(self._socket)
            except (EOFError, OSError) as exc:
                raise DiedError from exc
            finally:
                if within is not None:
                    self._socket.settimeout(None)
            if kind == WAITS:
                waits()
                continue
            if kind != ENDED:
                self.forward()  # what a call prints is there before its result is
                return kind, what
            what.buffer = bytes(what.buffer)
            self._sent.append(what)

    def outcomes(self) -> list[Outcome]:
        """Return what became of the calls of its batch so far; while it runs none."""
        return self._journal.outcomes(self._sent)

    def forward(self, pipe: int | None = None) -> bool:
        """Pass on what it has printed, as this process' own; tell whether nothing more will come."""
        over = False
        with self._reading:
            for reading in list(self.pipes) if pipe is None else self.pipes.keys() & {pipe}:
                while data := _read(reading):
                    self._words.append(data)
                    while len(self._words) > 1 and sum(map(len, self._words)) - len(self._words[0]) > _WORDS:
                        self._words.popleft()
                    _write(self.pipes[reading], data)
                over = data is not None
        return over

    def last_words(self) -> str:
        """Return the end of what it has printed since it took on its batch."""
        return b"".join(self._words)[-_WORDS:].decode(errors="replace").strip()

    def has_ended(self) -> bool:
        """Tell whether its process has."""
        return self._process.poll() is not None

    def part(self) -> None:
        """Let whoever waits for an answer know that none will come: a child of a call may hold the other end."""
        self._socket.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        """End it at once, with all that its calls have started."""
        self._is_told = True
        if self._process.poll() is None:
            os.kill(self.root, warden.END if warden.IS_THERE else signal.SIGKILL)
            os.kill(self.root, signal.SIGCONT)

    def end(self) -> int:
        """Wait for its end, which has begun, and return its exit code, negative for a signal."""
        try:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.root, signal.SIGCONT)  # somebody may have stopped it
            code = self._process.wait(DYING_SECONDS)
        except subprocess.TimeoutExpired:
            _kill(reversed(process_usage.family(self.root)))
            code = self._process.wait(END_SECONDS)
            if not self._is_told:  # it had parted, and went on
                code = CLOSED
        if code == -signal.SIGKILL:  # perhaps that of its warden, who has ended nothing then
            until = time.monotonic() + DYING_SECONDS
            while (left := process_usage.of_session(self.root)) and time.monotonic() < until:
                _kill(left)
                time.sleep(0.01)
        self.forward()
        return code

    def close(self) -> None:
        """Let go of it, after its end."""
        guardian.forget(self.root)
        self._socket.close()
        self._journal.close()
        with self._reading:
            self.pipes.clear()
            for stream in (self._process.stdout, self._process.stderr):
                assert stream is not None
                stream.close()


def _own(passed: tuple[int, ...]) -> list[str]:
    """Return what starts a runner with the Python of this process."""
    return [sys.executable, *flags_of_this_process(), "-c", _START, *map(str, passed), *sys.path]


def _kill(processes: Iterable[int]) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _read(pipe: int) -> bytes | None:
    """Return what there is to read; None where there is nothing yet."""
    try:
        return os.read(pipe, _CHUNK)
    except BlockingIOError:
        return None


def _write(descriptor: int, data: bytes) -> None:
    written = 0
    with contextlib.suppress(OSError):  # nobody reads it any more, or the log's disk is full: the call goes on
        while written < len(data):
            written += os.write(descriptor, data[written:])
