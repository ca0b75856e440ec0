"""What commands that report write on stdout: lines, tables, and JSON."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_LAST = 10  # columns that the last text of a row should have at least
STYLES = {"irreproducible": "bold red", "replaced": "yellow", "forgotten": "dim"}


def write_line(text: str) -> None:
    """Write a line; what the terminal cannot show is written as an escape."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.buffer.write(text.encode(encoding, "backslashreplace") + b"\n")


def write_named(text: str, name: str) -> None:
    """Write a text and a file's name, which may be any bytes."""
    sys.stdout.buffer.write(text.encode() + os.fsencode(name) + b"\n")


def write_json(document: object) -> None:
    """Write one JSON document."""
    import json

    sys.stdout.buffer.write(json.dumps(document, default=_plain).encode() + b"\n")


def write_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Write names and what they are, a line each, aligned."""
    width = max((len(name) for name, _ in pairs), default=0)
    for name, text in pairs:
        write_line(f"{name:<{width}}  {one_line(text)}".rstrip())


def write_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table: as wide as a terminal, or else with all of every text. Its last column takes what room is left.

    Parameters
    ----------
    header : sequence of str
        Titles of the columns.
    rows : sequence of sequences of str
        Control characters in them are shown, not obeyed.
    """
    texts = [[one_line(text) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *texts, strict=True)]
    if sys.stdout.isatty():
        from rich.console import Console

        room = Console().width - sum(widths[:-1]) - 2 * len(widths)
        if room >= _LAST:
            _write_rich(header, texts, widths, room)
            return
    for row in (header, *texts):
        write_line("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


def _write_rich(header: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], room: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title, width in zip(header[:-1], widths, strict=False):
        table.add_column(title, no_wrap=True, width=width)
    table.add_column(header[-1], no_wrap=True, overflow="ellipsis", max_width=room)
    for row in rows:
        table.add_row(*(Text(text, style=STYLES.get(text, "")) for text in row))
    Console().print(table)


def one_line(text: str) -> str:
    r"""Return a text without line breaks and other control characters.

    Examples
    --------
    >>> one_line("sh -c 'a\nb'")
    "sh -c 'a\\nb'"
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _plain(value: object) -> object:
    """Return what stands in JSON for a value that it does not have."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
