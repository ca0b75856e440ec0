"""``offload forget``."""

from __future__ import annotations

import os
import time

import click

from offload.cli.arguments import complete_transformation, find_transformation, json_option
from offload.cli.filters import Filters, filter_options
from offload.cli.output import say
from offload.cli.tables import one_line, write_json, write_line
from offload.errors import NotFoundError, UsageError
from offload.notices import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.registry.session import Session

SHOWN = 20

EPILOG = """\b
Examples:
    offload forget 3fb2c9d01a2e
    offload forget --label 'analysis:fit' --dry-run
    offload forget --command 'gzip *' --until 30d -y
    offload forget --function 'analysis:*' --since 2h --dry-run
    offload forget --outcome irreproducible
"""


@click.command(epilog=EPILOG)
@click.argument("checksums", nargs=-1, metavar="[CHECKSUM]...", shell_complete=complete_transformation)
@filter_options
@click.option("--all", "everything", is_flag=True, help="All there are.")
@click.option("--dry-run", is_flag=True, help="Only show what would be forgotten.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
def forget(
    checksums: tuple[str, ...], everything: bool, dry_run: bool, yes: bool, as_json: bool, **given: str | None
) -> int:
    """Drop recorded results, so that the next run computes again.

    CHECKSUM names a transformation, as `offload history` shows it; its first digits are enough. The other options
    choose as those of `offload history` do: what it lists is forgotten. The runs stay in the history, marked as
    forgotten. What the results consisted of stays in the store until `offload gc` needs the room.
    """
    from offload.registry.session import current

    filters = Filters(given, time.time())
    if sum((bool(checksums), bool(filters), everything)) != 1:
        raise UsageError(
            "say what to forget", "offload forget CHECKSUM...  or --function, --command, --since, ... or --all"
        )
    session = current()
    found = _named(session, checksums) if checksums else filters.recorded(session)
    if not found and not everything:
        raise NotFoundError("no recorded result matches", "offload history lists the runs")
    if dry_run and not as_json:
        _show(session, found)
    if not dry_run and len(found) > 1 and not yes and not _agreed(len(found)):
        say("nothing was forgotten")
        return 1
    count = len(found) if dry_run else session.database.forget(found)
    if as_json:
        write_json({"forgotten": count, "dry_run": dry_run, "transformations": found})
    else:
        write_line(f"{'would forget' if dry_run else 'forgot'} {counted(count, 'result')}")
    return 0


def _named(session: Session, checksums: tuple[str, ...]) -> list[str]:
    """Return the transformations that were named, which must all have results."""
    found = list(dict.fromkeys(find_transformation(session, text).checksum for text in checksums))
    for checksum, result in zip(found, session.database.results(found), strict=True):
        if result is None:
            raise NotFoundError(
                f"the transformation {checksum[:12]} has no result to forget", "it was forgotten before"
            )
    return found


def _show(session: Session, found: list[str]) -> None:
    for checksum in found[:SHOWN]:
        transformation = session.database.transformation(checksum)
        assert transformation is not None
        write_line(f"{checksum[:12]}  {one_line(transformation.label)}")
    if len(found) > SHOWN:
        write_line(f"... and {len(found) - SHOWN:,} more")


def _agreed(count: int) -> bool:
    """Ask whether to go on."""
    if not (os.isatty(0) and os.isatty(2)):
        raise UsageError(
            f"this would forget {counted(count, 'result')}, and there is no terminal to ask on",
            "add -y to do it, or --dry-run to see them",
        )
    return click.confirm(f"Forget {counted(count, 'result')}?", err=True)
