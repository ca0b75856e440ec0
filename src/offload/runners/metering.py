"""What a call uses of its machine: processor time, and the most memory that its process held meanwhile."""

from __future__ import annotations

import contextlib
import os
import resource

from offload.records.usage import UNIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.transport.outcome import Outcome


class Meter:
    """Measures calls of this process, one after another."""

    def __init__(self) -> None:
        self._status = self._reset = -1
        with contextlib.suppress(OSError):  # only Linux has these
            self._status = os.open("/proc/self/status", os.O_RDONLY)
            self._reset = os.open("/proc/self/clear_refs", os.O_WRONLY)

    def begin(self) -> None:
        """Take note of what has been used, and forget the peak of the memory."""
        if self._reset >= 0:
            with contextlib.suppress(OSError):
                os.write(self._reset, b"5")
        self._before = _seconds()
        self._of_children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss

    def end(self, outcome: Outcome) -> None:
        """Say in an outcome what has been used since."""
        outcome.cpu_seconds = _seconds() - self._before
        peak = self._peak()
        of_children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        if of_children > self._of_children:
            peak = max(peak, of_children * UNIT)
        outcome.peak_memory_bytes = peak

    def _peak(self) -> int:
        """Return the peak of this process: what Linux has for it in `getrusage` was its parent's before it began."""
        if self._status >= 0:
            with contextlib.suppress(OSError, ValueError, IndexError):
                return int(os.pread(self._status, 8192, 0).partition(b"VmHWM:")[2].split(None, 1)[0]) * 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def _seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
