"""Check the documents: links, paths, duplicates, decisions, and that everything public is mentioned.

Run as ``python tools/check_docs.py``; prints one line per problem and exits with 1 if there are any.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator

import click
from documents import ROOT, Document, documents

from offload._version import __version__

WORDS = 25  # so many words in a row, in two documents, are a copy
TOP = {"src", "tests", "docs", "tools", "examples", "benchmarks", "scripts", ".ci"}
# Directories of people and machines; `/home/me` is the placeholder of the examples.
MACHINE_PATH = re.compile(r"(?<![\w.~$/}])/(?:root|work|Users|mnt|home/(?!me\b|user\b))[\w./-]*")


def broken_links(pages: list[Document]) -> Iterator[str]:
    """Relative links whose file or heading is not there."""
    by_path = {page.path: page for page in pages}
    for page in pages:
        for link in page.links():
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = link.partition("#")
            target = (page.path.parent / name).resolve() if name else page.path
            if not target.exists():
                yield f"{page.name}: the link {link} leads nowhere"
            elif anchor and (target not in by_path or anchor not in by_path[target].anchors()):
                yield f"{page.name}: the link {link} names a heading that is not there"


def missing_paths(pages: list[Document]) -> Iterator[str]:
    """Paths in backticks that look like the project's own and do not exist."""
    for page in pages:
        for code in page.code():
            ours = re.fullmatch(r"[\w.][\w./-]*/[\w./-]*", code) and code.split("/")[0] in TOP
            if ours and "NNNN" not in code and not (ROOT / code).exists():
                yield f"{page.name}: `{code}` does not exist"


def copies(pages: list[Document]) -> Iterator[str]:
    """Runs of `WORDS` words that stand in two documents."""
    seen: dict[tuple[str, ...], str] = {}
    for page in pages:
        reported: set[str] = set()
        for words in page.paragraphs():
            for start in range(len(words) - WORDS + 1):
                run = tuple(words[start : start + WORDS])
                other = seen.setdefault(run, page.name)
                if other not in (page.name, *reported):
                    reported.add(other)
                    yield f"{page.name}: repeats {other}: {' '.join(run[:10])} ..."


def machine_paths(pages: list[Document]) -> Iterator[str]:
    """Absolute paths that exist on somebody's machine only."""
    for page in pages:
        for match in MACHINE_PATH.finditer(page.text):
            yield f"{page.name}: {match[0]} is a path of one machine"


def unlisted_decisions() -> Iterator[str]:
    """Decision records that their README does not list, or with a number that is taken."""
    directory = ROOT / "docs" / "decisions"
    listed = set(Document(directory / "README.md").links())
    numbers: dict[str, str] = {}
    for path in sorted(directory.glob("*.md")):
        if path.name == "README.md":
            continue
        if not re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name):
            yield f"docs/decisions/{path.name}: is not named NNNN-words-of-the-title.md"
        if path.name not in listed:
            yield f"docs/decisions/README.md: does not list {path.name}"
        other = numbers.setdefault(path.name[:4], path.name)
        if other != path.name:
            yield f"docs/decisions/{path.name}: has the number of {other}"


def command_lines(group: click.Group, words: str = "offload") -> Iterator[str]:
    """Every command line that the program knows, as ``offload NAME``."""
    context = click.Context(group, info_name=words)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        yield f"{words} {name}"
        if isinstance(command, click.Group):
            yield from command_lines(command, f"{words} {name}")


def unmentioned(pages: list[Document], commands: Iterable[str], names: Iterable[str]) -> Iterator[str]:
    """Commands and public Python names that no hand-written page speaks of."""
    text = "\n".join(page.text for page in pages if not page.name.startswith("docs/reference/"))
    for command in commands:
        if not re.search(re.escape(command) + r"\b", text):
            yield f"no page mentions `{command}`"
    for name in names:
        if not re.search(rf"\boffload\.{name}\b|`{name}`", text):
            yield f"no page mentions `offload.{name}`"


def unversioned() -> Iterator[str]:
    """A change log without a place for what is new."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## (?:\[?Unreleased|\[?{re.escape(__version__)})\b", text, re.MULTILINE):
        yield f"CHANGELOG.md: has neither a section Unreleased nor {__version__}"


def main() -> int:
    """Print every problem; the exit code says whether there were any."""
    import offload
    from offload.cli.app import app

    pages = documents()
    problems = [
        *broken_links(pages),
        *missing_paths(pages),
        *copies(pages),
        *machine_paths(pages),
        *unlisted_decisions(),
        *unmentioned(pages, command_lines(app), offload.__all__),
        *unversioned(),
    ]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
