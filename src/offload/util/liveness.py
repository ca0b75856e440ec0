"""Whether a process that was met before still runs."""

from __future__ import annotations

import fcntl
import functools
import os

import psutil

_SINCE = " after boot "


def started(pid: int) -> str | None:
    """Return when a process was started; None when it has ended (also while it is a zombie).

    It names the boot of the machine, too, and the PID namespace (that of the container, where there is one) in which
    the id is one of a process. It is exact: Unix time would move when the clock is set.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The program's name stands in parentheses, and may itself hold spaces and parentheses.
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return _started_elsewhere(pid) if not boot() else None
    return None if fields[0] in (b"Z", b"X") else f"{fields[19].decode()}{_SINCE}{boot()} in {_namespace()}"


def is_alive(pid: int, since: str) -> bool:
    """Tell whether the process that was started then still runs; a later one with the same id is another."""
    return started(pid) == since


def is_from_here(since: str) -> bool:
    """Tell whether a process that was started then is seen from here: not in another container, nor before a boot."""
    return since.endswith(f"{_SINCE}{boot()} in {_namespace()}") or not boot()


def is_of_this_boot(since: str) -> bool:
    """Tell whether it was started on this machine since it has booted, in whatever container."""
    return bool(boot()) and f"{_SINCE}{boot()}" in since


def shares_ids(pid: int) -> bool:
    """Tell whether a process has this id also for itself, as far as can be told: it is in the same PID namespace."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid") == _namespace()
    except OSError:
        return True


def is_locked(path: str) -> bool:
    """Tell whether somebody holds the lock of a file, in whatever container of this machine."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: who looks meanwhile, too, is not taken for one
    except OSError as exc:
        return isinstance(exc, BlockingIOError)
    finally:
        os.close(descriptor)
    return False


@functools.cache
def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


@functools.cache
def boot() -> str:
    """Return what tells a start of this machine from all others; empty where the system does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _started_elsewhere(pid: int) -> str | None:
    """Do it where there is no ``/proc`` of Linux."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time()}"
    except psutil.NoSuchProcess:
        return None
