"""``offload lineage``."""

from __future__ import annotations

import os

import click

from offload.cli.arguments import json_option
from offload.cli.output import say
from offload.cli.tables import one_line, write_json, write_line
from offload.errors import NotFoundError, UsageError
from offload.notices import counted
from offload.records.lineage import DEEPEST
from offload.util.units import checksum_digits, moment_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.records.lineage import Buffer, Step
    from offload.registry.session import Session

DIGITS = 12

EPILOG = """\b
Examples:
    offload lineage plot.png
    offload lineage --down data.csv
    offload lineage 3fb2c9d01a2e --depth 1
"""


@click.command(epilog=EPILOG)
@click.argument("what", metavar="CHECKSUM|FILE", type=click.Path())
@click.option("--down", is_flag=True, help="What was made from it, instead of what it was made from.")
@click.option(
    "--depth",
    type=click.IntRange(1, DEEPEST),
    metavar="N",
    default=DEEPEST,
    show_default=True,
    help="So many steps, and no further.",
)
@json_option
def lineage(what: str, down: bool, depth: int, as_json: bool) -> None:
    """Show which calls and commands made a result, and from what.

    FILE is a file or directory, found by its content, wherever it lies now. CHECKSUM is that of a transformation, as
    `offload history` shows it, of a result, or of any other buffer; the first digits are enough.

    Each step stands below what it made, and what it used stands below it. With --down, each step stands below what it
    used, and what it made below it. Results are found by content: a step that gave the same bytes is shown as well,
    below the one that made a file of this name here.
    Where the tree is cut, `offload lineage` with the last checksum goes on.
    """
    from offload.records.lineage import lineage as fill_in
    from offload.registry.session import current

    session = current()
    root = _root(session, what, down)
    fill_in(session, root, down, depth)
    if as_json:
        write_json({"down": down, **root.as_dict()})
        return
    _write_buffer(root, "", "")
    if not root.steps:
        other = "lineage shows what made it" if down else "lineage --down shows what used it"
        say(f"no recorded call or command {'used' if down else 'made'} it; {other}")


def _root(session: Session, what: str, down: bool) -> Buffer:
    from offload.records.lineage import Buffer, step_of

    if os.path.isfile(what):
        return Buffer(what, session.files.checksum(what), path=what)
    if os.path.isdir(what):
        from offload.identity.checksums import checksum
        from offload.identity.directories import scan

        tree = scan(what.rstrip("/") or "/")
        names = tree.paths()
        sums = dict(zip(names, session.files.checksums(names), strict=True))
        return Buffer(what, checksum(tree.manifest(sums)), path=what)
    try:
        digits = checksum_digits(what)
    except UsageError as error:
        raise NotFoundError(f"there is no file {what!r}, and it is not a checksum either", error.hint) from error
    found = session.database.transformation(digits)
    if found is not None:
        root = step_of(session, found.checksum, down)
        if root is None:
            raise NotFoundError(f"the transformation {found.checksum[:DIGITS]} has no result", "it was forgotten")
        return root
    whole = session.store.resolve(digits) or (digits if len(digits) == 64 else None)
    if whole is None:
        raise NotFoundError(f"nothing here has the checksum {what}", "offload history lists the recorded results")
    return Buffer("buffer", whole)


def _write_buffer(buffer: Buffer, first: str, rest: str) -> None:
    """Write a buffer and what stands below it, with these beginnings of lines."""
    text = f" = {buffer.text}" if buffer.text else ""
    again = "  (shown elsewhere)" if buffer.repeated else "  (goes on)" if buffer.cut else ""
    write_line(first + one_line(f"{buffer.name}{text}  {buffer.checksum[:DIGITS]}{again}"))
    items = len(buffer.steps) + bool(buffer.more)
    for position, step in enumerate(buffer.steps, 1):
        _write_step(step, *_branch(rest, position == items))
    if buffer.more:
        write_line(f"{_branch(rest, True)[0]}... and {counted(buffer.more, 'other step')} with the same content")


def _write_step(step: Step, first: str, rest: str) -> None:
    found = step.transformation
    named = "  (made this name)" if step.named else ""
    write_line(first + one_line(f"{found.label}  {found.checksum[:DIGITS]}  {moment_text(step.started)}{named}"))
    for position, buffer in enumerate(step.buffers, 1):
        _write_buffer(buffer, *_branch(rest, position == len(step.buffers)))


def _branch(rest: str, last: bool) -> tuple[str, str]:
    return rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  ")
