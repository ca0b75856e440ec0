"""The parent's end of a starter."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading

from offload.commands.running.session_members import send
from offload.commands.starter.frames import Frames, framed
from offload.commands.starter.seats import seated
from offload.storage.copies import no_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Heard = Callable[[tuple[Any, ...]], None]

LOOK_EVERY, LOOKS = 5.0, 4
"""Seconds of silence between two looks at a starter that is to say something, and how often it may be found stopped."""

_TOLD, _TELLING = 3, 4  # descriptors there
_HIGH = 10
_ROOT = os.path.dirname(os.path.abspath(__file__)).removesuffix("/offload/commands/starter")
_CHUNK = 256 * 1024

_BEGIN = (
    "import sys; sys.path[:0] = [sys.argv[1]]; "
    "from offload.commands.starter.program import main; main({}, {}, {}, sys.argv[2])"
)


class Starter:
    """A process that starts commands for this one. Threads may share it.

    Parameters
    ----------
    most : int
        How many commands run at once.
    aside : str
        A directory, for output that is large, and for commands that need no inputs.

    Attributes
    ----------
    pid : int
        Its number.
    lost : bool
        Whether it has ended though nobody asked it to.
    """

    def __init__(self, most: int, aside: str) -> None:
        self._aside = aside
        self._lock = threading.Lock()
        self._heard: dict[int, Heard] = {}
        self._last = 0
        self._closed = self._ended = self._told_all = self.lost = False
        told, self._telling = os.pipe()
        self._told, telling = os.pipe()
        try:
            self.pid = _begun(told, telling, most, aside)
        finally:
            os.close(told)
            os.close(telling)
        _starters.add(self)
        self._thread = threading.Thread(target=self._hear, name="offload-starter", daemon=True)
        self._thread.start()

    def run(
        self,
        heard: Heard,
        argv: list[str],
        program: str,
        environment: Mapping[bytes, bytes],
        directory: str | None = None,
        stdin: str | None = None,
        timeout: float | None = None,
        spool: str = "",
        live: bool = False,
    ) -> int:
        """Have a command run; return its number.

        Parameters
        ----------
        heard : callable
            Gets each message about it, see `offload.commands.starter.frames`; ``("lost", id, begun)``
            when the starter was killed, and the command with it, if it had begun. It is called in a thread of the
            starter's; or here, where that has ended already.
        argv, program, environment, directory, stdin, timeout, spool, live
            As described there.
        """
        with self._lock:
            self._last += 1
            number = self._last
            if not (too_late := self._told_all):
                self._heard[number] = heard
        if too_late:
            heard(("lost", number, False))
            return number
        given = ([os.fsencode(word) for word in argv], os.fsencode(program), directory, dict(environment))
        self._tell("run", number, *given, stdin, timeout, spool, live)
        return number

    def end(self, number: int = 0, hard: bool = False) -> None:
        """End a command, or all of them, as Ctrl-C would; `hard`, at once."""
        self._tell("end", number, hard)

    def taken(self, number: int, size: int) -> None:
        """Say that so many bytes of what a command that is `live` wrote need no room any more."""
        self._tell("taken", number, size)

    def close(self) -> None:
        """Let go of the starter: what still runs is killed."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if not self._ended:
                os.kill(self.pid, signal.SIGCONT)  # one that stands still does not see that it is let go of
        _starters.discard(self)
        os.close(self._telling)
        self._thread.join()

    def _tell(self, *message: Any) -> None:
        data = memoryview(framed(message))
        with self._lock:
            try:
                while data and not self._closed:
                    data = data[os.write(self._telling, data) :]
            except BrokenPipeError:
                return  # it has ended: who reads what it says will tell

    def _hear(self) -> None:
        """Pass on what the starter says, in a thread."""
        frames = Frames()
        while data := self._next():
            for message in frames.add(data):
                with self._lock:
                    heard = self._heard[message[1]]
                    if message[0] != "output":
                        del self._heard[message[1]]
                heard(message)
        with self._lock:
            with contextlib.suppress(ChildProcessError):  # of a program that ignores SIGCHLD
                os.waitpid(self.pid, 0)  # from here on its number may be another's
            self._ended = True
        os.close(self._told)
        with self._lock:
            self.lost, self._told_all = not self._closed, True
            rest, self._heard = self._heard, {}
        begun = self._kill_all() if self.lost else ()
        for number, heard in rest.items():
            heard(("lost", number, number in begun))

    def _next(self) -> bytes:
        """Return what the starter says next; b"" at its end. One that stands still is made to go on, or killed."""
        from offload.util import process_usage

        poller = select.poll()
        poller.register(self._told, select.POLLIN)
        looks = 0
        while not poller.poll(1000 * LOOK_EVERY):
            stopped = process_usage.is_stopped(self.pid) and (self._heard or self._closed)
            looks = looks + 1 if stopped else 0
            if looks >= LOOKS:  # twice means that it was stopped again at once, or that a debugger has it
                os.kill(self.pid, signal.SIGCONT if looks == LOOKS else signal.SIGKILL)
        return os.read(self._told, _CHUNK)

    def _kill_all(self) -> set[int]:
        """End what a starter that was killed was running; return the numbers of these commands."""
        begun = set()
        for session, number in seated(self._aside, self.pid):
            begun.add(number)
            send(session, signal.SIGKILL)
        return begun

    def let_go(self) -> None:
        """In a forked child: hold the pipe no longer, or its end would not be seen."""
        os.close(self._telling)


def _begun(told: int, telling: int, most: int, aside: str) -> int:
    import fcntl

    high = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, _HIGH) for one in (told, telling)]
    flags = ["-I", "-S"] + (["-B"] if sys.dont_write_bytecode else [])
    argv = [sys.executable, *flags, "-c", _BEGIN.format(_TOLD, _TELLING, most), _ROOT, aside]
    devices = [(os.POSIX_SPAWN_OPEN, n, os.devnull, mode, 0) for n, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY))]
    pipes = [(os.POSIX_SPAWN_DUP2, one, there) for one, there in zip(high, (_TOLD, _TELLING), strict=True)]
    try:
        with no_fork:
            return os.posix_spawn(
                sys.executable, argv, os.environ, file_actions=[*devices, *pipes], setsid=True, setsigmask=()
            )
    finally:
        for one in high:
            os.close(one)


_starters: set[Starter] = set()


def _in_child() -> None:
    for starter in _starters:
        starter.let_go()
    _starters.clear()


os.register_at_fork(after_in_child=_in_child)
