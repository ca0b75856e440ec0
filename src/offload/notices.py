"""Warnings: Python's, unless the command line takes them as lines for its user; and how numbers are told."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

_nowhere: TextIO | None = None

listener: Callable[[str], None] | None = None
"""Gets the text of each warning, where there is one; set by the command line."""


def counted(count: int, what: str, several: str = "") -> str:
    """Return a number with its noun.

    Parameters
    ----------
    count : int
        How many.
    what : str
        What one of them is called.
    several : str, optional
        What more of them are called; by default with an ``s``.

    Examples
    --------
    >>> counted(1, "run"), counted(2000, "buffer"), counted(0, "process", "processes")
    ('1 run', '2,000 buffers', '0 processes')
    """
    return f"{count:,} {what if count == 1 else several or what + 's'}"


def users_level() -> int:
    """Return the ``stacklevel`` for :func:`warnings.warn`, where it is called, that shows the line of the user's."""
    import sys

    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "offload":
        level, frame = level + 1, frame.f_back
    return level


def users_place() -> tuple[str, int, str] | None:
    """Return the file, the line and the module of the user's that led to where it is called; None in a thread of ours.

    It is for :func:`warnings.warn_explicit`, of what is found out later.
    """
    import sys

    frame = sys._getframe(users_level() - 1)
    name = str(frame.f_globals.get("__name__"))
    if name.partition(".")[0] in ("concurrent", "offload", "threading"):
        return None
    return frame.f_code.co_filename, frame.f_lineno, name


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


def messages() -> TextIO:
    """Return where lines for the user go: standard error, or nowhere where a program has none, as a daemon may."""
    import sys

    global _nowhere
    stream: TextIO | None = sys.stderr
    if stream is not None:
        return stream
    if _nowhere is None:
        import os

        _nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process runs
    return _nowhere


def tell(text: str) -> None:
    """Write a line for the user to standard error, above the line that shows how far something is."""
    stream = messages()
    over = "\r\x1b[K" if stream.isatty() else ""
    stream.write(f"{over}offload: {text}\n")
    stream.flush()
