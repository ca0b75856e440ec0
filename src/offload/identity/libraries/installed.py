"""Whether something was installed, or removed, since this process looked first."""

from __future__ import annotations

import os
import sys

from offload.identity.libraries.distributions import SITES

_seen: dict[str, int] = {}
_changed = False


def look() -> None:
    """Take note of what is installed now, once: what this process imports and finds out is of that."""
    for entry in [] if _seen else sys.path:
        if os.path.basename(entry.rstrip(os.sep)) in SITES:
            _seen[entry] = _time_of(entry)


def has_changed() -> bool:
    """Tell whether that has changed since; then modules of both may be here, and what is known of them is old."""
    global _changed
    _changed = _changed or any(_time_of(entry) != time for entry, time in _seen.items())
    return _changed


def _time_of(directory: str) -> int:
    """Return when entries came into a directory or left it: each distribution has one of its own."""
    try:
        return os.stat(directory).st_mtime_ns
    except OSError:
        return 0
