"""Durations as people say them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a duration as a person would say it.

    Examples
    --------
    >>> [duration(seconds) for seconds in (0.0042, 2.04, 95, 7260)]
    ['0.0042 s', '2.0 s', '1 min 35 s', '2 h 1 min']
    """
    if seconds < 1:
        return f"{seconds:.2g} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
