"""Where a result was computed: for people who look at the history, and never part of what a result is."""

from __future__ import annotations

import os
import sys
from functools import cache

from offload import _version


def where() -> dict[str, object]:
    """Return where this process runs, for the history.

    Returns
    -------
    dict
        ``host``, ``user`` (the name, or the number of one that has none), ``pid``, ``directory`` ("" where it has been
        removed), and the versions of ``python`` and ``offload``.

    Examples
    --------
    >>> list(where())
    ['host', 'user', 'pid', 'directory', 'python', 'offload']
    """
    return {
        "host": os.uname().nodename,
        "user": _user(os.getuid()),
        "pid": os.getpid(),
        "directory": _directory(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "offload": _version.__version__,
    }


@cache
def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _directory() -> str:
    try:
        # A name that is no text could not be recorded.
        return os.fsencode(os.getcwd()).decode("utf-8", "replace")
    except FileNotFoundError:  # somebody has removed it
        return ""
