"""``offload history --failed``: the runs of commands that failed."""

from __future__ import annotations

from fnmatch import fnmatchcase

from offload.cli.filters import Filters
from offload.cli.output import say
from offload.cli.tables import write_json, write_table
from offload.errors import UsageError
from offload.util.durations import duration
from offload.util.units import moment_text, used_texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_SHOWN = 60


def show_failures(home: str, filters: Filters, limit: int, as_json: bool) -> None:
    """Write those that were chosen, the newest first."""
    from offload.storage.local.failures import read

    if filters["function"] or filters["kind"] == "python" or filters["outcome"]:
        raise UsageError("only failures of commands are kept", "leave out --function, --kind python and --outcome")
    found = [failure for failure in read(home) if _is_chosen(failure, filters)][:limit]
    if as_json:
        write_json(found)
    elif found:
        write_table(
            ("STARTED", "TOOK", "CPU", "MEMORY", "EXIT", "WHAT", "LAST WORDS"), [_row(failure) for failure in found]
        )
    else:
        say("no such failures" if filters else "no failures")


def _is_chosen(failure: dict[str, Any], filters: Filters) -> bool:
    label, started = str(failure["command"]), float(failure["started"])
    chosen = filters["label"]
    begins = chosen is not None and chosen.endswith("*") and label.startswith(chosen[:-1])
    return (
        (chosen is None or label == chosen or begins)
        and (filters["text"] or "").lower() in label.lower()
        and fnmatchcase(label, filters["command"] or "*")
        and filters["host"] in (None, failure["host"])
        and (filters.since is None or started >= filters.since)
        and (filters.until is None or started < filters.until)
    )


def _row(failure: dict[str, Any]) -> tuple[str, ...]:
    label = failure["command"]
    return (
        moment_text(failure["started"]),
        duration(failure["seconds"]),
        *used_texts(failure),
        "-" if failure["exit_code"] is None else str(failure["exit_code"]),
        label if len(label) <= MOST_SHOWN else label[: MOST_SHOWN - 3] + "...",
        failure["last_words"],
    )
