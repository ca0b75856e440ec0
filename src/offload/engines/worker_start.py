"""Why a worker does not start: because it does not reach its scheduler, or for a reason of its own."""

from __future__ import annotations

import dask.config
import psutil
from dask.utils import format_bytes

from offload.errors import OffloadError

REFUSED = "Unexpected response from register"
MEMORY = "distributed.worker.memory"
HINT = "Dask's configuration may have it load what is not there, or what takes long"


class StartError(OffloadError):
    """A worker cannot start, wherever its scheduler is: trying again in the same way would not help."""


def cause_of(error: BaseException) -> BaseException:
    """Return the error that others have come of: Dask wraps what fails as a worker starts, several times."""
    while isinstance(error.__cause__, Exception):  # what a time limit cancels is none
        error = error.__cause__
    return error


def is_own(cause: BaseException) -> bool:
    """Tell whether a start has failed by itself, and not on the way to the scheduler.

    A scheduler that still knows an earlier worker of this name refuses the next one, which then waits.
    """
    return not isinstance(cause, OSError | TimeoutError) and REFUSED not in str(cause)


def plain(name: str, error: BaseException) -> Exception:
    """Return why a worker does not start, as an error that any process can take on: a `StartError`, or an `OSError`."""
    cause = cause_of(error)
    if isinstance(cause, StartError):
        return cause
    if isinstance(cause, AssertionError) and isinstance(cause.__context__, TimeoutError):
        # A nanny cannot be closed while its worker starts. That worker ends when this process does.
        return StartError(f"{name} cannot start: its process was not ready in time", HINT)
    said = " ".join(f"{type(cause).__name__}: {cause}".split())
    if not is_own(cause):
        return OSError(said)
    return StartError(f"{name} cannot start: {said}", HINT)


def check_memory(name: str, pid: int | None, limit: int | None, watched: bool) -> None:
    """Check that a worker that has just started may use the memory that it uses already.

    Else its nanny would end it again and again, or it would take nothing on, for ever.

    Parameters
    ----------
    name : str
        Its name.
    pid : int, optional
        Its process.
    limit : int, optional
        How many bytes it may use; None without a limit.
    watched : bool
        Whether it has a nanny, which ends it when it uses too much.

    Raises
    ------
    StartError
        If it uses too much already.
    """
    if not limit or not pid:
        return
    try:
        used = psutil.Process(pid).memory_info().rss
    except psutil.NoSuchProcess:
        return  # it is started again, and looked at when it is there
    for setting in ("terminate", "pause") if watched else ("pause",):
        part = dask.config.get(f"{MEMORY}.{setting}", False)
        if part is not False and used > part * limit:
            what = f"a worker that does nothing uses {format_bytes(used)}"
            raise StartError(
                f"{name} cannot work: {what}, and may use {format_bytes(round(part * limit))}: its memory limit is "
                f"{format_bytes(limit)}, and Dask's setting {MEMORY}.{setting} {part}",
                "change that setting, or give workers more memory: offload up --memory-limit",
            )
