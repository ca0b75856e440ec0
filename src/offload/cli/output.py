"""Lines for the user, on stderr; stdout belongs to results."""

from __future__ import annotations

import os
import sys

from offload.errors import OffloadError

DEBUG = "OFFLOAD_DEBUG"


def say(text: str) -> None:
    """Write one line about what goes on."""
    _write(f"offload: {text}\n")


def print_line(text: str) -> None:
    """Write a line of a report to stdout; file names in it need not be valid text."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")


def keep_quiet(text: str) -> None:
    """Take a line and write nothing: what `say` is under ``--quiet``."""


def print_error(error: OffloadError) -> None:
    """Write an error and its next step."""
    say(error.message)
    if error.hint:
        _write(f"  {error.hint}\n")


def print_internal_error(error: BaseException) -> None:
    """Write one line about an error that nobody foresaw, or its traceback where the user asked for it."""
    if os.environ.get(DEBUG):
        import traceback

        traceback.print_exception(error)
        return
    say(f"internal error: {type(error).__name__}: {error}".replace("\n", " "))
    _write(f"  please report it; {DEBUG}=1 shows where it happened\n")


def _write(text: str) -> None:
    try:
        sys.stderr.flush()
        data = text.encode("utf-8", "surrogateescape")
        while data:
            data = data[os.write(2, data) :]
    except (OSError, AttributeError):
        # Nobody listens: stderr is closed.
        return


def report_json(report: dict[str, object]) -> None:
    """Write a report as one line of JSON, on stderr."""
    import json

    _write(json.dumps(report, ensure_ascii=True) + "\n")
