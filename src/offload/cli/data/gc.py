"""``offload gc``."""

from __future__ import annotations

import os
import sys
import time

import click

from offload.cli.arguments import json_option
from offload.cli.output import say
from offload.cli.tables import one_line, write_json, write_line
from offload.notices import counted
from offload.util.units import parse_since, parse_size, size_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.registry.session import Session
    from offload.storage.records import Collected, Pruned

EPILOG = """\b
Examples:
    offload gc --max-size 10GB
    offload gc --max-size 0 --dry-run
    offload gc --history 52w
"""


@click.command("gc", epilog=EPILOG)
@click.option("--max-size", metavar="SIZE", help="Keep at most this much, e.g. 500MB, 10GB, 1.5GiB.")
@click.option("--history", metavar="TIME", help="Drop runs begun before: an age (12h, 90d, 52w) or a date.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
def collect(max_size: str | None, history: str | None, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Remove what the store needs no more.

    With --max-size, buffers are removed until the rest fits. What is larger than SIZE by itself goes first; of the
    rest, what was unused for long and was cheap to compute. What a running job or a reader holds (a lease) is never
    removed. A result whose buffers are gone is computed again when it is asked for.

    With --history, runs that are older than TIME leave the history. Results that can be recalled stay, each with its
    last run; what is known of others, whose buffers are gone, goes with their runs.

    At a terminal, you are asked before anything of these goes.

    Always, leftovers go: temporary files of processes long gone, files that are no buffers. Good buffers that the
    store has lost sight of are taken in again.
    """
    limit = sys.maxsize if max_size is None else parse_size(max_size)
    before = None if history is None else parse_since(history, time.time())
    from offload.registry.session import current

    session = current()
    anything = max_size is not None or history is not None
    asked = anything and not (dry_run or yes or as_json) and os.isatty(0) and os.isatty(2)
    if asked and not _agreed(session, limit, before):
        say("nothing was removed")
        return 1
    collected = session.store.collect(limit, dry_run, session.database.costs)
    pruned = None if before is None else session.database.prune(before, session.store.has, dry_run)
    if as_json:
        report = {name: getattr(collected, name) for name in collected.__slots__ if name != "largest"}
        if dry_run:
            report["largest"] = [{"checksum": one, "bytes": size} for one, size in collected.largest]
        if pruned is not None:
            report |= {"runs": pruned.runs, "results": pruned.results}
        write_json({**report, "max_size": None if max_size is None else limit, "dry_run": dry_run})
        return 0
    if dry_run:
        _show(session, collected)
    verb = "would remove" if dry_run else "removed"
    write_line(f"{verb} {counted(collected.buffers, 'buffer')}, {size_text(collected.bytes)}")
    if collected.adopted:
        took = "would take" if dry_run else "took"
        write_line(f"{took} {counted(collected.adopted, 'buffer')} in again, which the index did not know any more")
    if collected.leftovers:
        write_line(f"{verb} {counted(collected.leftovers, 'leftover file')}")
    kept = "would keep" if dry_run else "kept"
    write_line(f"{kept} {counted(collected.kept_buffers, 'buffer')}, {size_text(collected.kept_bytes)}")
    if collected.leased:
        write_line(f"{counted(collected.leased, 'buffer')} of these would have gone, but a job or a reader holds them")
    if pruned is not None:
        write_line(f"{verb} {_pruned_text(pruned)}")
    return 0


def _agreed(session: Session, limit: int, before: float | None) -> bool:
    """Ask whether to go on, where there is anything to lose."""
    collected = session.store.collect(limit, True, session.database.costs)
    parts = [f"{counted(collected.buffers, 'buffer')}, {size_text(collected.bytes)}"] if collected.buffers else []
    if before is not None:
        pruned = session.database.prune(before, session.store.has, True)
        parts += [_pruned_text(pruned)] if pruned.runs else []
    return not parts or click.confirm(f"Remove {', and '.join(parts)}?", err=True)


def _pruned_text(pruned: Pruned) -> str:
    results = f"{counted(pruned.results, 'result')} that could not be recalled"
    return f"{counted(pruned.runs, 'run')} of the history and {results}"


def _show(session: Session, collected: Collected) -> None:
    """List the largest buffers that would go, each with what made it."""
    found = [str(checksum) for checksum, _ in collected.largest]
    database = session.database
    makers = zip(database.producers(found), database.makers(found), strict=True)
    for (checksum, size), (results, files) in zip(collected.largest, makers, strict=True):
        maker = next(iter([*results, *files]), None)
        made = None if maker is None else database.transformation(maker)
        label = "" if made is None else one_line(made.label)
        write_line(f"{str(checksum)[:12]}  {size_text(int(size)):>9}  {label}".rstrip())
    if collected.buffers > len(found):
        write_line(f"... and {collected.buffers - len(found):,} smaller ones")
