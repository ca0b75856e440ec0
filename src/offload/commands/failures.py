"""Keeping what is known of commands that failed: ``offload history --failed``."""

from __future__ import annotations

import time

from offload.errors import StorageError
from offload.records.provenance import where
from offload.records.usage import used

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from offload.commands.planning.plan import Plan
    from offload.commands.running.execution import Execution
    from offload.errors import OffloadError
    from offload.registry.session import Session

    Failed = tuple[Plan, Execution | None, OffloadError | None, str | None]

TAIL = 4096
MOST_WORDS = 300
MOST_LABEL = 500


def note_failures(failed: Iterable[Failed], session: Session, say: Callable[[str], None]) -> None:
    """Keep failures; where that cannot be, one line tells so.

    Parameters
    ----------
    failed : iterable of (Plan, Execution or None, OffloadError or None, str or None)
        The commands; what came of running each, or why that did not come to its end; and the worker that ran it.
    session : Session
        Where to keep them: in its home.
    say : callable
        Tells the user.
    """
    from offload.storage.local.failures import note

    found = [_described(*one) for one in failed]
    if not found:
        return
    try:
        note(session.home.path, found)
    except StorageError as error:
        say(f"not noted in the history of failures: {error.message}")


def _described(
    plan: Plan, execution: Execution | None, error: OffloadError | None, worker: str | None
) -> dict[str, object]:
    if error is not None:
        words = error.message
    else:
        words = "" if execution is None else last_words(execution.stderr.tail(TAIL))
    label = plan.request.label
    return {
        "started": time.time() if execution is None else execution.started,
        "seconds": 0.0 if execution is None else execution.seconds,
        "command": label if len(label) <= MOST_LABEL else label[: MOST_LABEL - 3] + "...",
        "exit_code": None if error is not None or execution is None else execution.exit_code,
        "last_words": words,
        **({} if execution is None else used(execution)),
        "transformation": plan.transformation,
        "worker": worker,
        **{name: value for name, value in where().items() if name in ("host", "directory")},
    }


def last_words(data: bytes) -> str:
    r"""Return the last line of what a command wrote to stderr, no longer than a person would read.

    Examples
    --------
    >>> last_words(b"Traceback:\n  ...\nKeyError: 'x'\n\n")
    "KeyError: 'x'"
    """
    lines = data.decode("utf-8", "replace").split("\n")
    line = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return line if len(line) <= MOST_WORDS else "..." + line[-MOST_WORDS + 3 :]
