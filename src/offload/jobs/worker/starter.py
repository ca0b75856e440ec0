"""The starter of a worker's process, and the commands that it runs for attempts."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from offload.commands.running.scratch import Scratch
from offload.commands.running.session import encoded, environment
from offload.commands.starter.client import Starter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from offload.commands.planning.plan import Plan

    Message = tuple[Any, ...]

MOST = 1024
"""Commands that a starter may run at once: more than a worker has threads, each of which waits for one."""


class Resident:
    """A starter that is there from the first command on, and a new one where somebody has killed it.

    Parameters
    ----------
    scratch : str, optional
        Where to put output aside, and where commands run that need no place of their own.
    """

    def __init__(self, scratch: str | None = None) -> None:
        self.aside = Scratch(scratch)
        self._lock = threading.Lock()
        self._starter: Starter | None = None

    def present(self) -> Starter:
        """Return the starter."""
        with self._lock:
            if self._starter is not None and self._starter.lost:
                self._starter.close()
                self._starter = None
            if self._starter is None:
                self._starter = Starter(MOST, self.aside.path)
            return self._starter

    def close(self) -> None:
        """Let go of the starter, and of what has been put aside."""
        with self._lock:
            if self._starter is not None:
                self._starter.close()
                self._starter = None
            self.aside.remove()


class Course:
    """One command from its start to its end, which it may be brought to from another thread.

    Parameters
    ----------
    resident : Resident
        Whose starter runs it.

    Attributes
    ----------
    stopping : bool
        Whether it is to end.
    """

    def __init__(self, resident: Resident) -> None:
        self._resident = resident
        self._lock = threading.Lock()
        self._messages: SimpleQueue[Message] = SimpleQueue()
        self._under_way: tuple[Starter, int] | None = None
        self.stopping = False

    def stop(self) -> None:
        """End the command, as Ctrl-C would; or have it not begin."""
        with self._lock:
            self.stopping = True
            if self._under_way is not None:
                starter, number = self._under_way
                starter.end(number)

    def run(
        self, plan: Plan, scratch: Scratch | None, path: str, spool: str, write: Callable[[int, bytes], object]
    ) -> Message:
        """Have the command run, and return what the starter says of its end.

        Parameters
        ----------
        plan : Plan
            Which.
        scratch : Scratch, optional
            Where it runs, prepared; without one, in an empty directory of the starter's.
        path : str
            Its ``PATH``.
        spool : str
            As for the starter.
        write : callable
            Gets what it writes to stdout (0) and stderr (1), as it comes. The command waits for it.
        """
        around = encoded(environment(scratch or self._resident.aside, plan.variables(path), path))
        program = plan.executable if plan.executable.startswith("/") else plan.request.argv[0]
        work, stdin = (None, None) if scratch is None else (scratch.work, plan.stdin.place(scratch))
        while True:
            with self._lock:
                if self.stopping:
                    return "dropped", 0
                starter = self._resident.present()
                number = starter.run(
                    self._messages.put, plan.request.argv, program, around, work, stdin, plan.request.timeout, spool,
                    live=True,
                )  # fmt: skip
                self._under_way = starter, number
            while (message := self._messages.get())[0] == "output":
                write(message[2], message[3])
                starter.taken(number, len(message[3]))
            if message[0] != "lost" or message[2]:
                return message
