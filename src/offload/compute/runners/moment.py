"""When the call began that a runner runs: a number that both sides see, so that to tell it takes no message."""

from __future__ import annotations

import mmap
import os
import time
from ctypes import c_double

SIZE = 8


class Moment:
    """A time in seconds, of the clock that all processes of a machine share; 0.0 while no call is running.

    It tells one call from another, too.

    Parameters
    ----------
    descriptor : int
        Of memory that is shared; it is closed.
    """

    def __init__(self, descriptor: int) -> None:
        if os.fstat(descriptor).st_size < SIZE:
            os.ftruncate(descriptor, SIZE)
        self._number = c_double.from_buffer(mmap.mmap(descriptor, SIZE))
        os.close(descriptor)

    @property
    def seconds(self) -> float:
        """When the call began."""
        return self._number.value

    def begin(self) -> None:
        """Say that a call begins now."""
        self._number.value = time.monotonic()

    def end(self) -> None:
        """Say that none is running."""
        self._number.value = 0.0
