"""The project's documents: their text, headings, links, paragraphs and code blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_FENCE = re.compile(r"^(```+|~~~+)[ \t]*([\w-]*)[^\n]*\n(.*?)^\1[ \t]*$\n?", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block of code: its language, its text and the line where it starts."""

    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Document:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """The path as it is seen from the top of the project."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("\n", self.text)

    def blocks(self) -> Iterator[Block]:
        """Every fenced block, in order."""
        for match in _FENCE.finditer(self.text):
            yield Block(match[2], match[3], self.text.count("\n", 0, match.start()) + 1)

    def links(self) -> Iterator[str]:
        """The target of every link outside code."""
        for match in _LINK.finditer(_INLINE.sub("", self.prose)):
            yield match[1]
        for match in re.finditer(r"^\[[^\]]+\]:\s*(\S+)", self.prose, re.MULTILINE):
            yield match[1]

    def code(self) -> Iterator[str]:
        """Every piece of inline code."""
        for match in _INLINE.finditer(self.prose):
            yield match[1]

    def anchors(self) -> set[str]:
        """What a link may name after ``#``: headings as GitHub writes them."""
        found: set[str] = set()
        for match in re.finditer(r"^#{1,6}\s+(.+?)\s*$", self.prose, re.MULTILINE):
            slug = re.sub(r"[^\w\- ]", "", _LINK.sub("", match[1]).lower()).replace(" ", "-")
            count = sum(1 for other in found if other == slug or re.fullmatch(re.escape(slug) + r"-\d+", other))
            found.add(f"{slug}-{count}" if count else slug)
        return found

    def paragraphs(self) -> Iterator[list[str]]:
        """The words of every paragraph, list item and table row."""
        for part in re.split(r"\n\s*\n|\n(?=\s*(?:[-*|]|\d+\.)\s)", self.prose):
            words = re.findall(r"[\w']+", part.lower())
            if words:
                yield words


def documents() -> list[Document]:
    """README.md, the other pages at the top, and everything under docs/."""
    return [Document(path) for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]]
