"""``offload history``."""

from __future__ import annotations

import time

import click

from offload.cli.arguments import complete_transformation, find_transformation, json_option
from offload.cli.filters import Filters, filter_options
from offload.cli.output import say
from offload.cli.tables import write_json, write_table
from offload.errors import UsageError
from offload.records.usage import used_by
from offload.util.durations import duration
from offload.util.units import moment_text, used_texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.storage.records import Run

EPILOG = """\b
Examples:
    offload history --since 2h
    offload history --kind command --text gzip
    offload history --function 'analysis:*' --outcome irreproducible
    offload history --command 'sort *' --since 2026-11-01 --until 2026-11-08
    offload history --failed --since 12h
    offload history 3fb2c9d01a2e
"""


@click.command(epilog=EPILOG)
@click.argument("transformation", required=False, metavar="[CHECKSUM]", shell_complete=complete_transformation)
@filter_options
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    default=20,
    show_default=True,
    help="At most so many runs.",
)
@click.option("--failed", is_flag=True, help="The commands that failed instead, with the last line that each wrote.")
@json_option
def history(transformation: str | None, limit: int, failed: bool, as_json: bool, **given: str | None) -> None:
    """Show what was computed: when, how long it took, and what became of it; the newest first.

    Recalled results are not runs. What failed is recorded nowhere, but --failed shows what is known of it. With the
    CHECKSUM of a transformation, or its first digits, show all that is recorded of it: what it consists of, each of its
    runs, and whether its result is still stored.
    """
    from offload.registry.session import current

    filters = Filters(given, time.time())
    session = current()
    if failed:
        from offload.cli.data.failures import show_failures

        if transformation is not None:
            raise UsageError("--failed lists what has no result", "leave out the CHECKSUM")
        show_failures(session.home.path, filters, limit, as_json)
        return
    if transformation is not None:
        from offload.cli.data.details import document_of, write_details

        found = find_transformation(session, transformation)
        document = document_of(session, found, filters.runs(session, limit, found.checksum))
        if as_json:
            write_json(document)
        else:
            write_details(document)
        return
    runs = filters.runs(session, limit)
    if as_json:
        from offload.cli.data.details import run_document

        write_json([run_document(run) for run in runs])
    elif runs:
        header = ("STARTED", "TOOK", "CPU", "MEMORY", "KIND", "OUTCOME", "CHECKSUM", "WHAT")
        write_table(header, [_row(run) for run in runs])
    else:
        say("no such runs" if filters else "no runs")


def _row(run: Run) -> tuple[str, ...]:
    outcome = "forgotten" if run.forgotten else run.outcome
    return (
        moment_text(run.started),
        duration(run.seconds),
        *used_texts(used_by(run)),
        run.kind,
        outcome,
        run.transformation[:12],
        run.label + _arguments(run),
    )


def _arguments(run: Run) -> str:
    """Return the arguments of a call, as far as they are short."""
    from offload.identity.values.decode import decode

    details = decode(run.details) if run.details else {}
    if run.kind != "python" or "arguments" not in details:
        return ""
    return "(" + ", ".join(f"{name}={text or kind}" for name, _, kind, text in details["arguments"]) + ")"
