"""The options that choose among the recorded runs."""

from __future__ import annotations

import click

from offload.errors import UsageError
from offload.util.units import parse_since

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from offload.registry.session import Session
    from offload.storage.records import Run

MOST_RUNS = 1_000_000
OUTCOMES = ("recorded", "same", "irreproducible", "replaced", "forgotten")

_OPTIONS = (
    click.option("--kind", type=click.Choice(["python", "command"]), help="Only runs of this kind."),
    click.option(
        "--label",
        metavar="LABEL",
        help="Only runs with this label (module:function, or command line); LABEL* begins so.",
    ),
    click.option("--text", metavar="TEXT", help="Only runs whose label contains this."),
    click.option(
        "--function", metavar="PATTERN", help="Only calls whose module:function is this; * and ? stand for others."
    ),
    click.option("--command", metavar="PATTERN", help="Only commands that are this; * and ? stand for others."),
    click.option("--since", metavar="TIME", help="Only runs begun since: an age (90s, 30m, 2h, 7d, 1w) or a date."),
    click.option("--until", metavar="TIME", help="Only runs begun before: an age or a date."),
    click.option("--outcome", type=click.Choice(OUTCOMES), help="Only runs that became this."),
    click.option("--host", metavar="NAME", help="Only runs on this machine."),
)

_OF_RUNS = ("function", "command", "since", "until", "outcome", "host")


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class Filters:
    """What was chosen.

    Parameters
    ----------
    given : mapping
        Values of the options.
    now : float
        Unix time that ages are counted from.

    Attributes
    ----------
    since, until : float or None
        Unix times.

    Raises
    ------
    UsageError
        If they contradict each other.
    """

    def __init__(self, given: Mapping[str, str | None], now: float) -> None:
        self._given = given
        self.since, self.until = (
            None if text is None else parse_since(text, now) for text in (given["since"], given["until"])
        )
        self._kind = given["kind"]
        if given["function"] is not None and given["command"] is not None:
            raise UsageError("a run is that of a function or that of a command", "give --function or --command")
        for option, kind in (("function", "python"), ("command", "command")):
            if given[option] is not None:
                if self._kind not in (None, kind):
                    raise UsageError(f"--kind {self._kind} leaves nothing of --{option}", "give one of them")
                self._kind = kind

    def __getitem__(self, name: str) -> str | None:
        return self._given[name]

    def __bool__(self) -> bool:
        return any(value is not None for value in self._given.values())

    def runs(self, session: Session, limit: int, transformation: str | None = None) -> list[Run]:
        """Return the newest runs that were chosen."""
        return session.database.runs(
            self._kind,
            self._given["label"],
            self._given["text"],
            self.since,
            limit,
            transformation,
            until=self.until,
            outcome=self._given["outcome"],
            host=self._given["host"],
            pattern=self._given["function"] or self._given["command"],
        )

    def recorded(self, session: Session) -> list[str]:
        """Return the transformations that have a result now, and of which a run was chosen; the newest first."""
        # The index of results knows these three, and what has a result without a run.
        if all(self._given[name] is None for name in _OF_RUNS):
            return session.database.find(self._kind, self._given["label"], self._given["text"])
        found = list(dict.fromkeys(run.transformation for run in self.runs(session, MOST_RUNS)))
        results = session.database.results(found)
        return [checksum for checksum, result in zip(found, results, strict=True) if result is not None]
