"""What a service writes for whoever runs it: single lines, without secrets, and never many of one kind."""

from __future__ import annotations

import asyncio
import logging
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Log = Callable[[str], None]

MINUTE = 60.0
_LINE = 500  # characters of a line
_KINDS = 100  # remembered


def log(text: str) -> None:
    """Write a line for whoever runs the service."""
    line = text.encode("unicode_escape").decode("ascii")
    sys.stderr.write(f"offload serve: {line[:_LINE]}\n")
    sys.stderr.flush()


class Limited:
    """Writes one line of each kind in a minute, and how many it has left out: a client can bring about any number.

    Parameters
    ----------
    write : callable
        Writes a line.
    """

    def __init__(self, write: Log) -> None:
        self._write = write
        self._last: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def say(self, kind: str, text: str) -> None:
        """Write a line, unless there was one of its kind in the last minute."""
        now = time.monotonic()
        last = self._last.get(kind)
        if last is not None and now - last < MINUTE:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        if len(self._last) >= _KINDS:
            self._last.clear()
        self._last[kind] = now
        more = self._left_out.pop(kind, 0)
        self._write(f"{text} (and {more:,} times more since the last such line)" if more else text)


class _OneLine(logging.Handler):
    """Makes a line, without traceback, of what aiohttp has to say, such as that somebody speaks no HTTP."""

    def __init__(self, write: Log) -> None:
        super().__init__()
        self._limited = Limited(write)

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        names = [kind.__name__ for kind in type(cause).__mro__]
        reason = "" if cause is None else f": {names[0]}"
        # What cannot be read is quoted in the error: it may hold a token.
        if cause is not None and "HttpProcessingError" not in names:
            reason += f": {cause}"
        self._limited.say(f"{record.msg}{names[0]}", f"error: {record.getMessage()}{reason}")


def line_logger(write: Log = log) -> logging.Logger:
    """Return the logger for aiohttp's own messages."""
    logger = logging.Logger("offload.serve", logging.WARNING)
    logger.addHandler(_OneLine(write))
    return logger


def calm(loop: asyncio.AbstractEventLoop, write: Log = log) -> None:
    """Let an event loop say in a line, once in a minute, that the system refuses something, such as more open files."""
    limited = Limited(write)

    def told(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        cause = context.get("exception")
        if isinstance(cause, OSError):
            limited.say(f"{context['message']}{cause.errno}", f"error: {context['message']}: {cause}")
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(told)
