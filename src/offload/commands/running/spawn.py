"""Starting a program as the leader of a session, without the time that `subprocess` takes where it can be done."""

from __future__ import annotations

import os
import signal
import threading

from offload.storage.copies import no_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_UMASK = 0o022
_HERE = getattr(os, "O_PATH", os.O_RDONLY)


def spawn(
    argv: Sequence[str],
    program: str,
    environment: Mapping[str, str],
    streams: Sequence[int],
    directory: str | None = None,
) -> int:
    """Start a program, and return the number of its process.

    To import `subprocess` takes longer than most commands take. `posix_spawn` does without, but starts a program in the
    directory of this process: where that has other threads, which need it, `subprocess` is used.

    Parameters
    ----------
    argv, program, environment
        The command, the path of the program, and all variables that it finds.
    streams : sequence of int
        The descriptors that become its standard input, output and error. It has no others.
    directory : str, optional
        Where it starts; by default where this process is.

    Raises
    ------
    OSError
        If the system does not execute it.
    """
    with no_fork:
        if directory is None:
            return _spawned(argv, program, environment, streams)
        if threading.active_count() > 1 or min(streams) < len(streams):
            return _opened(argv, program, environment, streams, directory)
        try:
            here = os.open(os.curdir, _HERE | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:  # there would be no way back
            return _opened(argv, program, environment, streams, directory)
        umask = os.umask(_UMASK)
        try:
            os.chdir(directory)
            return _spawned(argv, program, environment, streams)
        finally:
            os.fchdir(here)
            os.umask(umask)
            os.close(here)


def _spawned(argv: Sequence[str], program: str, environment: Mapping[str, str], streams: Sequence[int]) -> int:
    """Start a program here."""
    given = [(os.POSIX_SPAWN_DUP2, stream, number) for number, stream in enumerate(streams)]
    others = [(os.POSIX_SPAWN_CLOSE, number) for number in _inherited() if number >= len(streams)]
    defaults = (signal.SIGPIPE, signal.SIGXFSZ)  # which Python ignores
    actions = [*given, *others]
    return os.posix_spawn(program, list(argv), environment, file_actions=actions, setsid=True, setsigdef=defaults)


def _inherited() -> list[int]:
    """Return the open descriptors that a new program would have, too."""
    found = []
    for name in os.listdir("/dev/fd"):
        try:
            if os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:  # that of the list itself
            continue
    return found


def _opened(
    argv: Sequence[str], program: str, environment: Mapping[str, str], streams: Sequence[int], directory: str
) -> int:
    import subprocess

    stdin, stdout, stderr = streams
    process = subprocess.Popen(
        argv,
        executable=program,
        cwd=directory,
        env=environment,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        umask=_UMASK,
    )
    process.returncode = 0  # the caller waits for it
    return process.pid
