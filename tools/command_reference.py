"""Write docs/reference/commands.md from the commands' own ``--help``; ``--check`` only compares.

Run as ``python tools/command_reference.py [--check]``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click
from documents import ROOT

from offload.cli.app import app

PAGE = ROOT / "docs" / "reference" / "commands.md"
WIDTH = 100
HEAD = """\
# Command reference

Generated from `--help` by `make docs`; edit the help texts, not this page.
What the numbers mean that commands end with: [exit codes](../exit-codes.md).
"""


def helps(command: click.Command, words: str, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """The name and the help text of a command and of everything below it."""
    context = click.Context(
        command,
        info_name=words.rpartition(" ")[2],
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=command.context_settings.get("help_option_names"),
    )
    yield words, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from helps(child, f"{words} {name}", context)


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for words, text in helps(app, "offload"):
        body = "\n".join(line.rstrip() for line in text.strip().splitlines())
        parts.append(f"## {words}\n\n```text\n{body}\n```\n")
    return "\n".join(parts)


def main() -> int:
    """Write the page, or say that it is out of date."""
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print(f"{PAGE.relative_to(ROOT)} differs from the commands' help: run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
