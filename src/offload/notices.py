"""Warnings: Python's, unless the command line takes them as lines for its user."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

listener: Callable[[str], None] | None = None
"""Gets the text of each warning, where there is one; set by the command line."""


def users_level() -> int:
    """Return the ``stacklevel`` for :func:`warnings.warn`, where it is called, that shows the line of the user's."""
    import sys

    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "offload":
        level, frame = level + 1, frame.f_back
    return level


def warn(text: str, stacklevel: int) -> None:
    """Warn of something that goes on all the same.

    Parameters
    ----------
    text : str
        One line.
    stacklevel : int
        As for :func:`warnings.warn`, counted from the caller.
    """
    if listener is not None:
        listener(text)
        return
    import warnings

    warnings.warn(text, RuntimeWarning, stacklevel=stacklevel + 1)
