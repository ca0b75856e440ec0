"""How processes end, in words."""

from __future__ import annotations

import signal

_SIGNALS = {
    signal.SIGSEGV: ", a segmentation fault: code in C went wrong",
    signal.SIGBUS: ": a file that is mapped was cut off, or a disk is full",
    signal.SIGABRT: ": code in C gave up",
    signal.SIGKILL: ": the system does that where memory runs out, else somebody did",
    signal.SIGTERM: ": somebody told it to end",
}


def described(code: int, used: int | None, limit: int | None) -> str:
    """Return how a worker has ended, in words that follow its name.

    Parameters
    ----------
    code : int
        The exit code of its process; of a signal, negative.
    used, limit : int, optional
        How many bytes it used when its nanny ended it because of that, and how many it may use.
    """
    if used is not None:
        from dask.utils import format_bytes

        more = "" if limit is None else f" of {format_bytes(limit)}"
        return f"was ended because it used {format_bytes(used)}{more}, its memory limit"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        number = signal.Signals(-code)
    except ValueError:
        return f"was ended by signal {-code}"
    return f"was ended by signal {-code} ({number.name}){_SIGNALS.get(number, '')}"
