"""``offload history``."""

from __future__ import annotations

import time

import click

from offload.cli.arguments import complete_transformation, find_transformation, json_option
from offload.cli.output import duration, say
from offload.cli.quantities import moment_text, parse_since
from offload.cli.tables import write_json, write_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.storage.rows import Run

EPILOG = """\b
Examples:
    offload history --since 2h
    offload history --kind command --text gzip
    offload history 3fb2c9d01a2e
"""


@click.command(epilog=EPILOG)
@click.argument("transformation", required=False, metavar="[CHECKSUM]", shell_complete=complete_transformation)
@click.option("--kind", type=click.Choice(["python", "command"]), help="Only runs of this kind.")
@click.option(
    "--label", metavar="LABEL", help="Only runs with this label (module:function, or command line); LABEL* begins so."
)
@click.option("--text", metavar="TEXT", help="Only runs whose label contains this.")
@click.option("--since", metavar="TIME", help="Only runs begun since: an age (90s, 30m, 2h, 7d, 1w) or a date.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    default=20,
    show_default=True,
    help="At most so many runs.",
)
@json_option
def history(
    transformation: str | None,
    kind: str | None,
    label: str | None,
    text: str | None,
    since: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show what was computed: when, how long it took, and what became of it; the newest first.

    Recalled results are not runs. With the CHECKSUM of a transformation, or its first digits, show all that is
    recorded of it: what it consists of, each of its runs, and whether its result is still stored.
    """
    from offload.compute.session import current

    begin = None if since is None else parse_since(since, time.time())
    session = current()
    if transformation is not None:
        from offload.cli.details import document_of, write_details

        found = find_transformation(session, transformation)
        runs = session.database.runs(kind, label, text, begin, limit, found.checksum)
        document = document_of(session, found, runs)
        if as_json:
            write_json(document)
        else:
            write_details(document)
        return
    runs = session.database.runs(kind, label, text, begin, limit)
    if as_json:
        write_json([run_document(run) for run in runs])
    elif runs:
        header = ("STARTED", "TOOK", "KIND", "OUTCOME", "CHECKSUM", "WHAT")
        write_table(header, [_row(run) for run in runs])
    else:
        say("no runs" if (kind, label, text, since) == (None,) * 4 else "no such runs")


def run_document(run: Run) -> dict[str, object]:
    """Return a run, without its details, as plain values."""
    return {name: getattr(run, name) for name in run.__slots__ if name != "details"}


def _row(run: Run) -> tuple[str, ...]:
    outcome = "forgotten" if run.forgotten else run.outcome
    return (
        moment_text(run.started),
        duration(run.seconds),
        run.kind,
        outcome,
        run.transformation[:12],
        run.label + _arguments(run),
    )


def _arguments(run: Run) -> str:
    """Return the arguments of a call, as far as they are short."""
    from offload.identity.decoding import decode

    details = decode(run.details) if run.details else {}
    if run.kind != "python" or "arguments" not in details:
        return ""
    return "(" + ", ".join(f"{name}={text or kind}" for name, _, kind, text in details["arguments"]) + ")"
