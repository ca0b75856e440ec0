"""The project's own checks of its documents find what they are for."""

from __future__ import annotations

from pathlib import Path

import check_docs
import click
import documents
import pytest
from documents import Document


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "docs" / "decisions").mkdir(parents=True)
    for module in (check_docs, documents):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Document:
    path.write_text(text)
    return Document(path)


def test_links(root: Path) -> None:
    page = write(
        root / "a.md",
        "# A b: c\n\n[1](#a-b-c) [2](b.md#d) [3](https://x.org/y) `[4](no.md)`\n\n```text\n[5](no.md)\n```\n",
    )
    other = write(root / "b.md", "## D\n\n[6](no.md) [7](a.md#e)\n")
    assert list(check_docs.broken_links([page, other])) == [
        "b.md: the link no.md leads nowhere",
        "b.md: the link a.md#e names a heading that is not there",
    ]


def test_paths(root: Path) -> None:
    page = write(root / "a.md", "`docs/decisions/` `docs/none.md` `docs/decisions/NNNN-x.md` `other/none`\n")
    assert list(check_docs.missing_paths([page])) == ["a.md: `docs/none.md` does not exist"]


def test_machine_paths(root: Path) -> None:
    page = write(root / "a.md", "/home/me/x ~/work/y /root/z, s/work/a\n")
    assert list(check_docs.machine_paths([page])) == ["a.md: /root/z is a path of one machine"]


def test_copies(root: Path) -> None:
    words = " ".join(f"w{number}" for number in range(25))
    pages = [write(root / "a.md", f"x {words} y\n"), write(root / "b.md", f"z\n\n{words}\n")]
    assert len(list(check_docs.copies(pages))) == 1
    pages[1] = write(root / "c.md", words.removesuffix(" w24"))
    assert not list(check_docs.copies(pages))


def test_decisions(root: Path) -> None:
    write(root / "docs" / "decisions" / "README.md", "[1](0001-a.md)\n")
    for name in ("0001-a.md", "0001-b.md", "x.md"):
        write(root / "docs" / "decisions" / name, "x\n")
    assert list(check_docs.unlisted_decisions()) == [
        "docs/decisions/README.md: does not list 0001-b.md",
        "docs/decisions/0001-b.md: has the number of 0001-a.md",
        "docs/decisions/x.md: is not named NNNN-words-of-the-title.md",
        "docs/decisions/README.md: does not list x.md",
    ]


def test_what_no_page_mentions(root: Path) -> None:
    page = write(root / "a.md", "`offload run`, `offload.task`, getaway, offload.gathers\n")
    problems = list(check_docs.unmentioned([page], ["offload run", "offload get"], ["task", "gather"]))
    assert problems == ["no page mentions `offload get`", "no page mentions `offload.gather`"]


def test_commands_are_found_in_groups() -> None:
    @click.group()
    def app() -> None: ...

    @app.group()
    def store() -> None: ...

    @store.command(name="serve")
    def _serve() -> None: ...

    @app.command(hidden=True)
    def secret() -> None: ...

    assert list(check_docs.command_lines(app)) == ["offload store", "offload store serve"]


def test_change_log(root: Path) -> None:
    write(root / "CHANGELOG.md", "# Changes\n\n## 0.0.1\n")
    assert len(list(check_docs.unversioned())) == 1
    write(root / "CHANGELOG.md", "# Changes\n\n## Unreleased\n")
    assert not list(check_docs.unversioned())
