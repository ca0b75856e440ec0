"""The starter itself: a process of one thread that starts commands, takes what they write, and sees them end.

It is the parent of the commands, and of what they leave behind: on Linux it asks the kernel for that, so that it knows
of everything that a command has left, whatever session that made for itself. When its own parent ends, however that
ends, so do all commands.

It is started without ``site``, and imports next to nothing, so as to be there in some milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections import deque

from offload.commands.running.session_members import is_alive, send
from offload.commands.starter.directories import EmptyPlace
from offload.commands.starter.frames import Frames, framed
from offload.commands.starter.output import Written
from offload.commands.starter.seats import Seats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Steps = Sequence[tuple[signal.Signals, float]]

CHUNK = 256 * 1024
MOST_AHEAD = 1024 * 1024
"""Bytes of a command that is `live` that its parent may have been sent and not taken yet, before it has to wait."""

MOST_PENDING = 16 * 1024 * 1024
"""Bytes that may wait for the parent, before nothing more is taken from commands."""

GRACE = 2.0
"""Seconds that processes which a command leaves in the background have to end by themselves."""

GATHER = 0.01
"""Seconds for which messages wait for others, while there is something to do."""

TIMED_OUT = 124
INTERRUPT = ((signal.SIGINT, 2.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 2.0))
TERMINATE = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 2.0))
LEFT_OVER = ((signal.SIGTERM, 1.0), (signal.SIGKILL, 2.0))
KILL = ((signal.SIGKILL, 2.0),)
ROUNDS = 9
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)
_DEFAULT = [*_IGNORED, signal.SIGXFSZ, signal.SIGCHLD]
_UNIT = 1 if sys.platform == "darwin" else 1024
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


class Command:
    """A command that waits, runs, or has ended and left something behind.

    Attributes
    ----------
    seat : int
        Its number among those that run; no other has it meanwhile.
    place : EmptyPlace or None
        Where it runs, if that is a directory of ours.
    pid : int
        Of its leader, and so the number of its session.
    code : int or None
        Its exit code, as a shell gives it, once its leader has ended.
    ends : float
        When its time is over, or that of what it left behind, or of the last step (`time.monotonic`).
    ahead : int
        Bytes that the parent has been sent and not taken yet.
    held : bool
        Whether nothing is read from it because of that.
    broken : int
        Why what it wrote cannot be kept: an `errno`, or 0.
    ending : bool
        Whether it is being ended.
    steps : list of (signal, float)
        What is still to be done for that: a signal, and how many seconds to wait then.
    """

    __slots__ = (
        "ahead", "argv", "broken", "clock", "code", "cpu", "cut", "directory", "ending", "ends", "environment",
        "held", "id", "late", "live", "peak", "pid", "pipes", "place", "program", "seat", "seconds", "spool",
        "started", "stdin", "steps", "timeout", "written",
    )  # fmt: skip

    def __init__(self, *given: Any) -> None:
        (self.id, self.argv, self.program, self.directory, self.environment) = given[:5]
        (self.stdin, self.timeout, self.spool, self.live) = given[5:]
        self.seat = -1
        self.place: EmptyPlace | None = None
        self.pid = 0
        self.code: int | None = None
        self.cpu, self.peak = 0.0, 0
        self.started = self.clock = self.seconds = 0.0
        self.ends = float("inf")
        self.late = self.cut = self.ending = self.held = False
        self.ahead = self.broken = 0
        self.steps: list[tuple[signal.Signals, float]] = []
        self.pipes = 0
        self.written = (Written(self.spool + ".out"), Written(self.spool + ".err"))


class Starter:
    """Runs commands, so many at once, in the order in which it gets them.

    Parameters
    ----------
    told, telling : int
        Where messages come from, and where they go.
    most : int
        How many run at once.
    aside : str
        A directory for what it makes.
    """

    def __init__(self, told: int, telling: int, most: int, aside: str) -> None:
        self._told, self._telling = told, telling
        self._aside = aside
        self._frames = Frames()
        self._pending = bytearray()
        self._sent = 0.0
        self._waiting: deque[Command] = deque()
        self._seats = Seats(most, aside)
        self._running: dict[int, Command] = {}
        self._readers: dict[int, tuple[Command, int]] = {}
        self._places: list[EmptyPlace] = []
        self._made = 0
        self._restless: set[Command] = set()  # those that have a time at which something is to be done
        self._null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._children = _adopting()
        self._poller = select.poll()
        self._poller.register(told, select.POLLIN)
        self._woken, waking = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(waking, False)
        os.set_blocking(telling, False)
        self._poller.register(self._woken, select.POLLIN)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)

    def run(self) -> None:
        """Go on until the parent closes its pipe, or ends."""
        while True:
            while self._waiting and self._seats.free:
                self._start(self._waiting.popleft())
            self._flush()
            for descriptor, _ in self._poller.poll(self._pause()):
                if descriptor == self._told:
                    data = os.read(self._told, CHUNK)
                    if not data:
                        self._abandon()
                        return
                    for message in self._frames.add(data):
                        self._take(message)
                elif descriptor == self._woken:
                    os.read(self._woken, CHUNK)
                    self._reap()
                elif descriptor in self._readers:
                    self._read(descriptor)
            if self._restless:
                self._look_after()

    def _pause(self) -> float | None:
        """Return for how many milliseconds there is nothing to do but to wait."""
        if self._pending or any(command.code is not None or command.ending for command in self._restless):
            return 1000 * GATHER
        if not self._restless:
            return None
        return max(0.0, min(command.ends for command in self._restless) - time.monotonic()) * 1000

    def _take(self, message: tuple[Any, ...]) -> None:
        if message[0] == "run":
            self._waiting.append(Command(*message[1:]))
            return
        if message[0] == "taken":
            for command in self._running.values():
                if command.id == message[1]:
                    self._let_on(command, message[2])
            return
        _, chosen, hard = message
        for command in [one for one in self._waiting if chosen in (0, one.id)]:
            self._waiting.remove(command)
            self._tell("dropped", command.id)
        for command in [one for one in self._running.values() if chosen in (0, one.id)]:
            self._end(command, KILL if hard else INTERRUPT)

    def _tell(self, *message: Any) -> None:
        self._pending += framed(message)

    def _flush(self) -> None:
        """Send what is pending, several messages at a time while there is something else to do."""
        if not self._pending:
            return
        now = time.monotonic()
        if self._waiting and now - self._sent < GATHER:
            return
        self._sent = now
        while self._pending:
            try:
                del self._pending[: os.write(self._telling, self._pending)]
            except BlockingIOError:
                if len(self._pending) < MOST_PENDING:
                    return
                select.select([], [self._telling], [])
            except BrokenPipeError:  # the parent is ending; its other pipe tells that, too
                self._pending.clear()

    def _start(self, command: Command) -> None:
        """Start a command; what the system says where it does not is told."""
        readers: list[int] = []
        given: list[int] = []
        try:
            directory = command.directory
            environment = command.environment
            if directory is None:
                command.place = self._place()
                directory = command.place.work
                environment = {**environment, **command.place.variables}
            stdin = self._null
            if command.stdin is not None:
                stdin = os.open(command.stdin, os.O_RDONLY | os.O_CLOEXEC)
                given.append(stdin)
            for _ in range(2):
                reading, writing = os.pipe()
                readers.append(reading)
                given.append(writing)
            os.chdir(directory)
            command.started, command.clock = time.time(), time.monotonic()
            command.pid = os.posix_spawn(
                command.program,
                command.argv,
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, one, n) for n, one in enumerate((stdin, *given[-2:]))],
                setsid=True,
                setsigmask=(),
                setsigdef=_DEFAULT,
            )
        except OSError as error:
            for reading in readers:
                os.close(reading)
            if command.place is not None:
                self._places.append(command.place)
            self._tell("refused", command.id, error.errno)
            return
        finally:
            for writing in given:
                os.close(writing)
            os.chdir("/")
        command.seat = self._seats.take(command.pid, command.id)
        self._running[command.pid] = command
        command.pipes = 2
        for which, reading in enumerate(readers):
            self._readers[reading] = command, which
            self._poller.register(reading, select.POLLIN)
        if command.timeout is not None:
            command.ends = command.clock + command.timeout
            self._restless.add(command)

    def _place(self) -> EmptyPlace:
        if self._places:
            return self._places.pop()
        self._made += 1
        return EmptyPlace(f"{self._aside}/empty-{os.getpid()}-{self._made}")

    def _read(self, descriptor: int) -> None:
        command, which = self._readers[descriptor]
        data = os.read(descriptor, CHUNK)
        if data:
            self._keep(command, which, data)
            if command.live:
                self._tell("output", command.id, which, data)
                self._let_on(command, -len(data))
            return
        self._close(descriptor, command)
        if command.code is not None:
            self._settle(command)

    def _keep(self, command: Command, which: int, data: bytes) -> None:
        """Keep what a command has written; where that cannot be, on a full disk above all, it is ended."""
        if not command.broken:
            try:
                command.written[which].add(data)
            except OSError as error:
                command.broken = error.errno or -1
                self._end(command, TERMINATE)

    def _let_on(self, command: Command, taken: int) -> None:
        """Read from a command, or do not, after its parent has taken so much of it, or is to take more."""
        command.ahead -= taken
        held = command.ahead > MOST_AHEAD
        if held != command.held:
            command.held = held
            for descriptor in [one for one, (owner, _) in self._readers.items() if owner is command]:
                self._poller.modify(descriptor, 0 if held else select.POLLIN)

    def _close(self, descriptor: int, command: Command) -> None:
        self._poller.unregister(descriptor)
        del self._readers[descriptor]
        os.close(descriptor)
        command.pipes -= 1

    def _reap(self) -> None:
        """Take note of all processes that have ended."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            command = self._running.get(pid)
            if command is None or command.code is not None:
                continue  # something that a command has left
            now = time.monotonic()
            code = os.waitstatus_to_exitcode(status)
            command.code = TIMED_OUT if command.late else 128 - code if code < 0 else code
            command.seconds = now - command.clock
            command.cpu, command.peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _UNIT
            if not command.ending:
                command.ends = now + GRACE
            self._settle(command)

    def _settle(self, command: Command) -> None:
        """Finish a command whose leader has ended, if nothing of it is left."""
        if command.pipes or self._is_left(command):
            self._restless.add(command)
        else:
            self._finish(command)

    def _is_left(self, command: Command) -> bool:
        """Tell whether anything of an ended command's session is alive."""
        if self._children < 0:
            return is_alive(command.pid)
        return any(_session_of(pid) == command.pid for pid in self._strangers())

    def _strangers(self) -> list[int]:
        """Return the children of this process that lead no command: those that had others for their parents."""
        ours = self._running
        listed = b""
        while piece := os.pread(self._children, CHUNK, len(listed)):
            listed += piece
        return [pid for pid in map(int, listed.split()) if pid not in ours or ours[pid].code is not None]

    def _look_after(self) -> None:
        """Do what the time has come for."""
        now = time.monotonic()
        for command in list(self._restless):
            if command.code is not None and not command.pipes and not self._is_left(command):
                self._finish(command)
            elif now < command.ends:
                continue
            elif command.ending:
                self._step(command)
            elif command.code is not None and command.held:
                command.ends = now + GRACE
            elif command.code is not None:
                command.cut = True
                self._end(command, LEFT_OVER)
            else:
                command.late = True
                self._end(command, TERMINATE)

    def _end(self, command: Command, steps: Steps) -> None:
        """Begin to end a command, each step harder than the one before."""
        if command.ending and steps is not KILL:
            return
        command.ending = True
        command.steps = list(steps)
        self._restless.add(command)
        self._step(command)

    def _step(self, command: Command) -> None:
        """Go on with ending a command. What has outlived the last step cannot be ended."""
        if command.steps:
            number, patience = command.steps.pop(0)
            send(command.pid, number)
            command.ends = time.monotonic() + patience
        elif command.code is not None:
            self._finish(command)
        else:
            self._restless.discard(command)  # its leader will be seen to end, whenever that is

    def _finish(self, command: Command) -> None:
        """Tell what came of a command of which nothing is left, or nothing that could be ended."""
        for descriptor in [one for one, (owner, _) in self._readers.items() if owner is command]:
            command.cut = True
            self._close(descriptor, command)
        self._restless.discard(command)
        del self._running[command.pid]
        self._seats.leave(command.seat)
        left = None
        if command.place is not None:
            if not command.cut and self._children >= 0 and not self._strangers() and command.place.is_as_new():
                self._places.append(command.place)
            else:
                left = command.place.path
        if command.broken:
            for written in command.written:
                written.drop()
            self._tell("broken", command.id, command.broken, left)
            return
        self._tell(
            "ended", command.id, command.code, command.started, command.seconds, command.cpu, command.peak,
            command.written[0].end(), command.written[1].end(), not command.cut, left,
        )  # fmt: skip

    def _abandon(self) -> None:
        """Kill everything: the parent has ended, or wants no more."""
        for _ in range(ROUNDS):
            reached = [send(pid, signal.SIGKILL) for pid in self._running]
            if not any(reached):
                break
            time.sleep(0.002)


def _session_of(pid: int) -> int:
    """Return the session of a process; 0 for one that has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            fields = stream.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[3])


def _adopting() -> int:
    """Have orphans among the descendants of this process become its children; return a file that lists these, or -1."""
    if sys.platform != "linux":
        return -1
    try:
        children = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
    import ctypes

    if ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0) == 0:
        return children
    os.close(children)
    return -1


def main(told: int, telling: int, most: int, aside: str) -> None:
    """Be a starter; its parameters are those of `Starter`."""
    for name in os.listdir("/dev/fd"):
        if int(name) > max(told, telling):
            with contextlib.suppress(OSError):  # that of the list itself
                os.close(int(name))
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    os.set_inheritable(told, False)
    os.set_inheritable(telling, False)
    os.umask(0o022)
    os.chdir("/")
    Starter(told, telling, most, aside).run()
