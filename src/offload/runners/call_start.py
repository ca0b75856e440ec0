"""Which call a runner runs, and since when: numbers that both sides see, so that to tell them takes no message."""

from __future__ import annotations

import mmap
import os
import time
from ctypes import Structure, c_double, c_long, sizeof


class _Numbers(Structure):
    _fields_ = (("seconds", c_double), ("place", c_long), ("pid", c_long))


class Moment:
    """A time in seconds, of the clock that all processes of a machine share; 0.0 while no call is running.

    It tells one call from another, too.

    Parameters
    ----------
    descriptor : int
        Of memory that is shared; it is closed.
    """

    def __init__(self, descriptor: int) -> None:
        if os.fstat(descriptor).st_size < sizeof(_Numbers):
            os.ftruncate(descriptor, sizeof(_Numbers))
        self._numbers = _Numbers.from_buffer(mmap.mmap(descriptor, sizeof(_Numbers)))
        os.close(descriptor)

    @property
    def seconds(self) -> float:
        """When the call began."""
        return float(self._numbers.seconds)

    @property
    def place(self) -> int:
        """The place in its batch of the call that began last, or will be the first."""
        return max(0, int(self._numbers.place))

    @property
    def pid(self) -> int:
        """The process that runs calls; 0 before it has said so."""
        return int(self._numbers.pid)

    def is_here(self) -> None:
        """Say that it is this process."""
        self._numbers.pid = os.getpid()

    def next_batch(self) -> None:
        """Count from the beginning again."""
        self._numbers.place = -1

    def begin(self) -> None:
        """Say that a call begins now."""
        self._numbers.place += 1
        self._numbers.seconds = time.monotonic()

    def end(self) -> None:
        """Say that none is running."""
        self._numbers.seconds = 0.0
