"""Warnings: Python's, unless the command line takes them as lines for its user."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

listener: Callable[[str], None] | None = None
"""Gets the text of each warning, where there is one; set by the command line."""


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
