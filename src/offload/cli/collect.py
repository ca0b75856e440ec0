"""``offload gc``."""

from __future__ import annotations

import sys

import click

from offload.cli.arguments import json_option
from offload.cli.quantities import counted, parse_size, size_text
from offload.cli.tables import write_json, write_line

EPILOG = """\b
Examples:
    offload gc --max-size 10GB
    offload gc --max-size 0 --dry-run
"""


@click.command("gc", epilog=EPILOG)
@click.option("--max-size", metavar="SIZE", help="Keep at most this much, e.g. 500MB, 10GB, 1.5GiB.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@json_option
def collect(max_size: str | None, dry_run: bool, as_json: bool) -> None:
    """Remove what the store needs no more.

    With --max-size, buffers are removed until the rest fits, the longest unused first. What a running job or a
    reader holds (a lease) is never removed. A result whose buffers are gone is computed again when it is asked for.

    Without it, only leftovers go: temporary files of processes long gone, files that are no buffers. Good buffers that
    the store has lost sight of are taken in again.
    """
    limit = sys.maxsize if max_size is None else parse_size(max_size)
    from offload.compute.session import current

    collected = current().store.collect(limit, dry_run)
    if as_json:
        report = {name: getattr(collected, name) for name in collected.__slots__}
        write_json({**report, "max_size": None if max_size is None else limit, "dry_run": dry_run})
        return
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
