"""The parent of a runner: a small process that, when the runner ends, ends all that its calls have started.

A process whose parent is gone becomes a child of this one, also when it has a session of its own: Linux allows that for
ancestors which ask for it. So whatever calls have left is found among its children.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

from offload.util.process_usage import family

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

IS_THERE = sys.platform == "linux"
"""Whether runners have a warden. Elsewhere, what has lost its parent is not found."""

END = signal.SIGTERM
"""What tells a warden to end its runner."""


def stand_over(descriptors: Sequence[int]) -> None:
    """Go on in a child of this process, which itself stays, and ends as the child does, with all that is left of that.

    Parameters
    ----------
    descriptors : sequence of int
        Those of the child alone.
    """
    if not IS_THERE:
        return
    system = ctypes.CDLL(None)
    system.prctl(PR_SET_CHILD_SUBREAPER, 1)
    handler = signal.signal(END, lambda *_: os._exit(0))
    system.prctl(PR_SET_PDEATHSIG, END)
    runner = os.fork()
    if not runner:
        signal.signal(END, handler)
        return

    def end(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(runner, signal.SIGKILL)

    signal.signal(END, end)
    for descriptor in descriptors:
        os.close(descriptor)
    status = _wait_for(runner)
    signal.signal(END, signal.SIG_IGN)
    _end_all()
    _end_as(os.waitstatus_to_exitcode(status))


def _wait_for(runner: int) -> int:
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == runner:
            return status


def _end_all() -> None:
    """End all children, and those that become so meanwhile."""
    while True:
        for child in family(os.getpid())[1:]:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _end_as(code: int) -> None:
    if code < 0:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the runner has written its own
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
