"""``offload forget``."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Inside
from tests.conftest import Offload


@pytest.fixture
def three(inside: Inside) -> list[Any]:
    """Three recorded commands, the newest first."""
    for word in ("one", "two", "three"):
        assert inside("run", "--", "echo", word).returncode == 0
    found = json.loads(inside("history", "--json").stdout)
    assert isinstance(found, list)
    return found


def kept(inside: Inside) -> list[str]:
    found = json.loads(inside("history", "--json").stdout)
    return [run["label"] for run in found if not run["forgotten"]]


def test_one_by_its_first_digits(offload: Offload, three: list[Any]) -> None:
    done = offload("forget", three[1]["transformation"][:8])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"forgot 1 result\n", b"")
    assert kept(offload) == ["echo three", "echo one"]
    assert b"computed" in offload("run", "--", "echo", "two").stderr
    assert b"recalled" in offload("run", "--", "echo", "one").stderr


def test_several_need_a_yes(inside: Inside, three: list[Any]) -> None:
    for words in (["--all"], ["--text", "O"], ["--label", "echo*"], [run["transformation"] for run in three[:2]]):
        done = inside("forget", *words)
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"add -y" in done.stderr
    assert len(kept(inside)) == 3
    assert inside("forget", "--text", "T", "-y").stdout == b"forgot 2 results\n"
    assert kept(inside) == ["echo one"]
    assert inside("forget", "--label", "echo one").stdout == b"forgot 1 result\n"
    assert inside("forget", "--all").stdout == b"forgot 0 results\n"


def test_label_and_text_both_hold(inside: Inside, three: list[Any]) -> None:
    assert inside("forget", "--label", "echo t*", "--text", "W").stdout == b"forgot 1 result\n"
    assert kept(inside) == ["echo three", "echo one"]


def test_a_dry_run_only_shows(inside: Inside, three: list[Any]) -> None:
    lines = inside("forget", "--all", "--dry-run").stdout.decode().splitlines()
    expected = [f"{run['transformation'][:12]}  {run['label']}" for run in three]
    assert lines == [*expected, "would forget 3 results"]
    told = json.loads(inside("forget", "--all", "--dry-run", "--json").stdout)
    assert told == {"forgotten": 3, "dry_run": True, "transformations": [run["transformation"] for run in three]}
    assert len(kept(inside)) == 3


def test_json(inside: Inside, three: list[Any]) -> None:
    told = json.loads(inside("forget", "--json", "-y", "--text", "t").stdout)
    assert told == {"forgotten": 2, "dry_run": False, "transformations": [run["transformation"] for run in three[:2]]}


@pytest.mark.parametrize(("answer", "code", "left"), [(b"y\n", 0, 0), (b"n\n", 1, 3)])
@pytest.mark.usefixtures("three")
def test_a_terminal_is_asked(offload: Offload, command: Path, answer: bytes, code: int, left: int) -> None:
    parent, child = pty.openpty()
    process = subprocess.Popen([command, "forget", "--all"], stdin=child, stdout=subprocess.PIPE, stderr=child)
    os.close(child)
    text = b""
    while b"Forget 3 results? [y/N]" not in text:
        text += os.read(parent, 1000)
    os.write(parent, answer)
    process.communicate(timeout=60)
    os.close(parent)
    assert process.returncode == code
    assert len(kept(offload)) == left


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "say what to forget"),
        (["--all", "--text", "x"], 2, "say what to forget"),
        (["0123456789"], 1, "there is no transformation"),
        (["012"], 2, "too short"),
        (["--text", "nothing of the kind"], 1, "no recorded result matches"),
    ],
)
def test_what_is_refused(inside: Inside, words: list[str], code: int, told: str) -> None:
    done = inside("forget", *words)
    assert (done.returncode, done.stdout) == (code, b"")
    assert told in done.stderr.decode()


def test_twice(inside: Inside, three: list[Any]) -> None:
    inside("forget", three[0]["transformation"])
    done = inside("forget", three[0]["transformation"], three[1]["transformation"], "-y")
    assert (done.returncode, b"has no result to forget" in done.stderr) == (1, True)
    assert len(kept(inside)) == 2


def test_the_filters_are_those_of_the_history(inside: Inside, three: list[Any]) -> None:
    def chosen(*words: str) -> list[str]:
        done = inside("forget", "--dry-run", "--json", *words)
        assert done.returncode in (0, 1), done.stderr
        return list(json.loads(done.stdout)["transformations"]) if done.returncode == 0 else []

    every = [run["transformation"] for run in three]
    assert chosen("--command", "echo t*") == every[:2]
    assert chosen("--function", "*") == []
    assert chosen("--since", "1h") == every == chosen("--kind", "command")
    assert chosen("--until", "1h") == []
    assert chosen("--outcome", "recorded", "--command", "echo ?ne") == every[2:]
    assert chosen("--outcome", "irreproducible") == []
    assert chosen("--host", "nowhere") == []
    assert inside("forget", "--command", "echo *", "--since", "1h").returncode == 2, "several need a yes"
    assert inside("forget", "--command", "echo o*", "--since", "1h").stdout == b"forgot 1 result\n"
    assert chosen("--since", "1h") == every[:2], "what has been forgotten is not forgotten again"
    assert inside("run", "--fresh", "--", "echo", "two").returncode == 0
    assert chosen("--since", "1h") == [every[1], every[0]], "each result once, the latest run first"
    for words in (["--function", "x", "--command", "y"], ["--all", "--since", "1h"], [every[0], "--since", "1h"]):
        assert inside("forget", *words).returncode == 2


def test_what_was_irreproducible_is_forgotten(inside: Inside) -> None:
    for words in (["date", "+%N"], ["echo", "one"]):
        for _ in range(2):
            assert inside("run", "--fresh", "--", *words).returncode == 0
    assert inside("forget", "--outcome", "irreproducible").stdout == b"forgot 1 result\n"
    assert "echo one" in kept(inside)
    assert "date +%N" not in kept(inside)
