"""The pipes of a running command: its output goes on as it comes, and is put aside; its open input is fed."""

from __future__ import annotations

import os
import select
import time

from offload.commands.running.session import GRACE, KILL_NOW, TICK, end_group, end_quickly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from offload.commands.running.process import Process
    from offload.commands.running.spool import Spool

    Sink = Callable[[bytes], bool]

CHUNK = 256 * 1024


class Feed:
    """Passes on what arrives on this process's standard input.

    Attributes
    ----------
    received : int
        Bytes that arrived.
    ended : bool
        Whether the end was reached.
    """

    def __init__(self, pipe: int) -> None:
        from hashlib import sha256

        self.pipe: int | None = pipe
        self.received = 0
        self.ended = False
        self._refused = False
        self._pending = b""
        self._digest = sha256()
        os.set_blocking(pipe, False)

    @property
    def delivered(self) -> bool:
        """Whether the command has got all that arrived."""
        return not self._pending and not self._refused

    @property
    def checksum(self) -> str:
        """The checksum of what arrived."""
        return self._digest.hexdigest()

    def interest(self) -> tuple[int, int] | None:
        """Return the descriptor to wait for, and for what."""
        if self.pipe is None:
            return None
        return (self.pipe, select.POLLOUT) if self._pending else (0, select.POLLIN)

    def move(self) -> None:
        """Read or write once; the descriptor is ready for it."""
        if self.pipe is None:
            return
        if not self._pending:
            self._pending = os.read(0, CHUNK)
            self.received += len(self._pending)
            self._digest.update(self._pending)
            if not self._pending:
                self.ended = True
                self.close()
            return
        try:
            self._pending = self._pending[os.write(self.pipe, self._pending) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._refused = True
            self.close()

    def close(self) -> None:
        """Let the command see the end of its input."""
        if self.pipe is not None:
            os.close(self.pipe)
            self.pipe = None


class Pump:
    """Moves bytes while a command runs.

    Parameters
    ----------
    process : Process
        Just started.
    pipes : sequence of int
        Where its stdout and stderr are read from; they are closed here.
    spools : tuple of two Spool
        Take what comes from stdout and stderr.
    sinks : tuple of two callables, optional
        Get the same bytes at once; one that returns False wants no more, and the command's pipe is closed.
    feed : Feed, optional
        For an open standard input.
    say : callable
        Tells the user what is waited for.

    Attributes
    ----------
    cut : bool
        Whether some of the output was not taken, because nobody wanted it or because what was left in the
        background was ended: the command's output is not known as a whole.
    refused : bool
        Whether that is because a sink wanted no more.
    """

    def __init__(
        self,
        process: Process,
        pipes: Sequence[int],
        spools: tuple[Spool, Spool],
        sinks: tuple[Sink | None, Sink | None],
        feed: Feed | None,
        say: Callable[[str], None],
    ) -> None:
        self._process = process
        self._pipes = {pipe: which for which, pipe in enumerate(pipes)}
        self._spools = spools
        self._sinks = list(sinks)
        self._feed = feed
        self._say = say
        self.cut = False
        self.refused = False

    def run(self) -> int:
        """Move bytes until the command and its output have ended; return the process's return code.

        Whatever is raised meanwhile (an interruption, above all), the whole group is ended first.
        """
        process = self._process
        try:
            deadline = 0.0
            looked = time.monotonic()
            while self._pipes or (self._feed is not None and self._feed.pipe is not None):
                quiet = not self._step(TICK)
                now = time.monotonic()
                if not quiet and now - looked < TICK:
                    continue
                looked = now
                if process.poll() is None:
                    continue
                if not self._pipes:
                    break
                if not deadline:
                    deadline = now + GRACE
                    self._say(f"the command has ended; waiting {GRACE:.0f} s for processes that it left running")
                elif now > deadline:
                    self._end_leftovers()
                    break
            return process.wait()
        except BaseException:
            try:
                end_group(process, meanwhile=self._drain)
            except KeyboardInterrupt:
                # Asked for a second time: no more patience.
                end_group(process, KILL_NOW)
            raise
        finally:
            if self._feed is not None:
                self._feed.close()
            for pipe in self._pipes:
                os.close(pipe)
            for spool in self._spools:
                spool.close()

    def _end_leftovers(self) -> None:
        self.cut = True
        end_quickly(self._process)
        deadline = time.monotonic() + TICK
        while self._pipes and time.monotonic() < deadline:
            self._step(TICK)

    def _drain(self) -> None:
        while self._pipes and self._step(0.0):
            continue

    def _step(self, seconds: float) -> bool:
        """Wait for something to move, and move it; return whether there was anything."""
        poller = select.poll()
        for descriptor in self._pipes:
            poller.register(descriptor, select.POLLIN)
        interest = self._feed.interest() if self._feed is not None else None
        if interest is not None:
            poller.register(*interest)
        events = poller.poll(seconds * 1000)
        for descriptor, _ in events:
            if descriptor in self._pipes:
                self._take(descriptor)
            elif self._feed is not None:
                self._feed.move()
        return bool(events)

    def _take(self, descriptor: int) -> None:
        which = self._pipes[descriptor]
        data = os.read(descriptor, CHUNK)
        if data:
            self._spools[which].write(data)
            sink = self._sinks[which]
            if sink is None or sink(data):
                return
            self.cut = self.refused = True
        del self._pipes[descriptor]
        os.close(descriptor)
