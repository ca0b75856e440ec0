"""The processes that calls have started, and which of them end with their call.

What nobody holds any more ends with the call: what its `Popen` was dropped of, and what has lost its parent. A pool of
processes, or a server that a library keeps, is held: it is there for the next call, and ends with the runner.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

from offload.runners import warden
from offload.util import process_usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_STARTS = frozenset(("os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"))

DYING_SECONDS = 1.0
"""How long a call's end waits for the processes that it has killed."""

_started = False


def _hook(event: str, args: Any) -> None:
    global _started
    if event in _STARTS:
        _started = True


class Offspring:
    """Looks after them, one call after another."""

    def __init__(self) -> None:
        sys.addaudithook(_hook)

    def begin(self) -> None:
        """Take note that a call begins."""
        global _started
        _started = False

    def end(self) -> None:
        """End what a call has started and nobody holds any more."""
        if not _started:
            return
        dropped: list[Any] = subprocess._active  # type: ignore[attr-defined]
        for process in list(dropped):
            if process.poll() is None:
                _end(process.pid)
                process.wait()
        ended = [one for pid in _orphans() for one in _end(pid)]
        until = time.monotonic() + DYING_SECONDS
        while any(process_usage.state(pid) not in ("", "Z", "X") for pid in ended) and time.monotonic() < until:
            time.sleep(0.001)  # the next call may need what they still hold: a port, a file

    @property
    def is_left(self) -> bool:
        """Whether any process is left of what calls have started."""
        children = process_usage.family(os.getpid())[1:] + _orphans()
        return any(process_usage.state(pid) not in ("", "Z") for pid in children)


def _orphans() -> list[int]:
    """Return the processes that have lost the parent which had started them."""
    return [pid for pid in process_usage.children(os.getppid()) if pid != os.getpid()] if warden.IS_THERE else []


def _end(pid: int) -> list[int]:
    """Kill a process and what it has started; return them all."""
    family = process_usage.family(pid)
    for one in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    return family
