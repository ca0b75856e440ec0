"""Leases: what garbage collection must leave alone, and for whom."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self


class Lease:
    """Keeps buffers from being removed; usable in a ``with`` statement.

    Parameters
    ----------
    renewed : callable
        Called with the seconds that the lease holds from now on.
    released : callable
        Called once, when it ends.
    """

    __slots__ = ("_released", "_renewed", "active")

    def __init__(self, renewed: Callable[[float], None], released: Callable[[], None]) -> None:
        self._renewed = renewed
        self._released = released
        self.active = True

    def renew(self, seconds: float = 3600.0) -> None:
        """Hold for so many seconds from now on."""
        if not self.active:
            raise ValueError("a released lease cannot be renewed")
        self._renewed(seconds)

    def release(self) -> None:
        """End the lease; once more is no error."""
        if self.active:
            self.active = False
            self._released()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def this_process() -> tuple[str, int, str]:
    """Name this process: host, process id, and start time (empty where the system does not tell)."""
    return _host(), os.getpid(), _started(os.getpid()) or ""


def may_live(host: str, pid: int, started: str) -> bool:
    """Tell whether a process named by `this_process` may still run; of other hosts, nothing is known.

    A process id is used again some time after its process ended; the start time tells the two apart.
    """
    if host != _host():
        return True
    if started:
        return _started(pid) == started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _host() -> str:
    """Name what process ids are unique in: the machine, and the container where there is one."""
    try:
        return f"{os.uname().nodename} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return os.uname().nodename


def _started(pid: int) -> str | None:
    """Give the start time of a process in the kernel's ticks; None when there is no such process, or no /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The program's name stands in parentheses, and may itself hold spaces and parentheses.
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # A zombie has ended, though its parent has not asked yet.
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()
