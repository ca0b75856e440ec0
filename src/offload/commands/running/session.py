"""Running a process in a session of its own, and ending that session."""

from __future__ import annotations

import os
import signal
import time

from offload.commands.planning.programs import NotExecutableError, search_path
from offload.commands.running.process import Process
from offload.commands.running.reaper import guardian
from offload.commands.running.session_members import is_alive, send
from offload.commands.running.spawn import spawn
from offload.identity.commands import ENVIRONMENT
from offload.storage.home import home_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from subprocess import Popen

    from offload.commands.running.scratch import Scratch
    from offload.errors import OffloadError

TERM_AFTER = 2.0
KILL_AFTER = 5.0
LAST_WAIT = 2.0
TICK = 0.2
GRACE = 2.0
"""Seconds that processes which a command leaves in the background have to end by themselves."""

TIMED_OUT = 124
"""The exit code of a command that took longer than it had, as ``timeout`` gives it."""

KILL_NOW = ((signal.SIGKILL, LAST_WAIT),)


class Interrupted(KeyboardInterrupt):
    """A signal asked offload to stop.

    Parameters
    ----------
    number : int
        The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def environment(scratch: Scratch, variables: Mapping[str, str], search: str | None = None) -> dict[str, str]:
    """Return the whole environment of a command; `search` is its PATH, by default this process's."""
    return {
        "PATH": search or search_path(),
        "HOME": scratch.file("home"),
        "TMPDIR": scratch.file("tmp"),
        # What a command computes with offload in its turn is kept; its own home is gone after it.
        "OFFLOAD_HOME": home_path(),
        "OFFLOAD_DEPLOYMENT": "none",  # of which this command may hold the last free place
        # Copies have a time of their own, so bytecode that is made of them must not come to lie beside the originals.
        "PYTHONDONTWRITEBYTECODE": "1",
        **ENVIRONMENT,
        **variables,
    }


def encoded(variables: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return variables as the system has them."""
    return {os.fsencode(name): os.fsencode(value) for name, value in variables.items()}


def start(
    argv: Sequence[str],
    executable: str,
    scratch: Scratch,
    variables: Mapping[str, str],
    streams: Sequence[int],
    search: str | None = None,
) -> Process:
    """Start a command in its prepared scratch directory, as the leader of a session.

    That ends should this process be killed.

    Raises
    ------
    NotExecutableError
        When the system refuses to execute it.
    """
    guardian.prepare()
    program = executable if executable.startswith("/") else argv[0]
    try:
        pid = spawn(argv, program, environment(scratch, variables, search), streams, scratch.work)
    except OSError as error:
        raise start_error(argv[0], os.path.join(scratch.work, executable), error) from error
    guardian.watch(pid)
    return Process(pid)


def start_error(name: str, executable: str, error: OSError) -> OffloadError:
    """Return in words why the system does not execute a program."""
    import errno

    if error.errno == errno.ENOENT:
        return NotExecutableError(
            f"{name} cannot be executed: what its first line names is missing", _first_line(executable)
        )
    if error.errno == errno.ENOEXEC:
        return NotExecutableError(
            f"{name} is neither a program nor a script", "begin it with a line such as #!/bin/sh, or run: sh SCRIPT"
        )
    if error.errno == errno.E2BIG:
        return NotExecutableError(f"{name}: the arguments are too long", "pass them in a file, or through stdin")
    return NotExecutableError(f"{name} cannot be executed: {error.strerror}")


def _first_line(path: str) -> str | None:
    with open(path, "rb") as stream:
        line = stream.readline(200)
    return f"its first line is: {line.decode(errors='replace').rstrip()}" if line.startswith(b"#!") else None


def exit_code(returncode: int) -> int:
    """Return a process's exit status as a shell gives it: 128+N for signal N."""
    return 128 - returncode if returncode < 0 else returncode


def end_group(
    process: Process | Popen[bytes],
    steps: Sequence[tuple[signal.Signals, float]] = (
        (signal.SIGINT, TERM_AFTER),
        (signal.SIGTERM, KILL_AFTER),
        (signal.SIGKILL, LAST_WAIT),
    ),
    meanwhile: Callable[[], None] | None = None,
) -> None:
    """End a process and all others of its session, each step harder than the one before.

    Parameters
    ----------
    process : Process or Popen
        The session's leader; it may have ended already.
    steps : sequence of (signal, float)
        What to send, and how many seconds to wait then.
    meanwhile : callable, optional
        Called every few milliseconds (to drain pipes that the processes may be blocked on).
    """
    for number, patience in steps:
        if not send(process.pid, number):
            process.wait()
            return
        deadline = time.monotonic() + patience
        pause = 0.002
        while time.monotonic() < deadline:
            if meanwhile is not None:
                meanwhile()
            if process.poll() is not None and not is_alive(process.pid):
                return
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)


class Limit:
    """Ends a command that takes longer than it may.

    Parameters
    ----------
    process : Process
        The command, which has just been started.
    seconds : float, optional
        How long it has; None for ever.
    """

    def __init__(self, process: Process, seconds: float | None) -> None:
        from threading import Timer

        self._process = process
        self._reached = False
        self._timer = None if seconds is None else Timer(seconds, self._end)
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def _end(self) -> None:
        self._reached = True
        end_group(self._process, ((signal.SIGTERM, KILL_AFTER), (signal.SIGKILL, LAST_WAIT)))

    def over(self, code: int) -> int:
        """Take note that the command has ended; return its exit code, or `TIMED_OUT`."""
        if self._timer is None:
            return code
        self._timer.cancel()
        if self._reached:
            self._timer.join()
        return TIMED_OUT if self._reached else code


def end_quickly(process: Process) -> None:
    """End what a command left running in its session."""
    end_group(process, ((signal.SIGTERM, 1.0), (signal.SIGKILL, LAST_WAIT)))
