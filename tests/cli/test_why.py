"""``offload why``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Inside
from tests.conftest import Offload

SCALE = """
import sys
import offload

def factor():
    return FACTOR

@offload.task
def scale(x):
    return x * factor()

scale(int(sys.argv[1]))
"""


def newest(inside: Inside) -> str:
    checksum = json.loads(inside("history", "--json", "-n", "1").stdout)[0]["transformation"]
    assert isinstance(checksum, str)
    return checksum


def test_a_command_before_and_after(offload: Offload, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("b\na\n")
    done = offload("why", "--", "sort", "words", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout == b"would be computed: no earlier run of this command is recorded\n"
    assert json.loads(offload("history", "--json").stdout) == [], "why must not run anything"
    offload("run", "--", "sort", "words", cwd=tmp_path)
    assert offload("why", "sort", "words", cwd=tmp_path).stdout.startswith(b"would be recalled")
    (tmp_path / "words").write_text("c\n")
    text = offload("why", "--", "sort", "words", cwd=tmp_path).stdout.decode()
    assert "the input words has other content" in text
    told = json.loads(offload("why", "--json", "--", "sort", "words", cwd=tmp_path).stdout)
    assert told["recalled"] is False
    assert [(d["what"], d["name"]) for d in told["differences"]] == [("input", "words")]


def test_files_of_a_directory(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "data" / name).write_text(name)
    inside("run", "--", "ls", "data", cwd=tmp_path)
    (tmp_path / "data" / "a").write_text("other")
    (tmp_path / "data" / "b").rename(tmp_path / "data" / "d e")
    text = inside("why", "--", "ls", "data", cwd=tmp_path).stdout.decode()
    assert "the input data has other content: a, b is gone, d e is new\n" in text
    (told,) = json.loads(inside("why", "--json", "--", "ls", "data", cwd=tmp_path).stdout)["differences"]
    assert [one["name"] for one in told["files"]] == ["a", "b", "d e"]
    inside("run", "--", "ls", "data", cwd=tmp_path)
    text = inside("why", newest(inside)).stdout.decode()
    assert [line.strip() for line in text.splitlines()[-3:]] == ["a", "b is gone", "d e is new"]


def test_the_options_of_run_count(inside: Inside) -> None:
    inside("run", "--var", "SEED=1", "--", "echo", "x")
    text = inside("why", "--var", "SEED=2", "--", "echo", "x").stdout.decode()
    assert "the variable SEED was '1', is '2'" in text


def test_a_recorded_command_beside_its_nearest(inside: Inside, tmp_path: Path) -> None:
    for text in ("one", "two"):
        (tmp_path / "words").write_text(text)
        inside("run", "--var", f"MODE={text}", "--", "cat", "words", cwd=tmp_path)
    checksum = newest(inside)
    text = inside("why", checksum[:8]).stdout.decode()
    assert text.startswith(f"hit: cat words ({checksum[:16]})")
    assert "  variable MODE=two" in text
    assert "variable MODE: 'one' -> 'two'" in text
    assert "input words: " in text
    told = json.loads(inside("why", "--json", checksum).stdout)
    assert told["hit"] is True
    assert [difference["part"] for difference in told["differences"]] == ["input words", "variable MODE"]
    inside("forget", checksum)
    assert inside("why", checksum).stdout.startswith(b"miss: cat words")


def test_a_recorded_command_alone(inside: Inside) -> None:
    inside("run", "--", "echo", "alone")
    told = json.loads(inside("why", "--json", newest(inside)).stdout)
    assert (told["nearest"], told["differences"]) == (None, [])
    assert "command echo alone" in told["consists_of"]


def test_a_recorded_call(inside: Inside, tmp_path: Path) -> None:
    for value, argument in (("2", "5"), ("3", "5")):
        (tmp_path / "scaling.py").write_text(SCALE.replace("FACTOR", value))
        subprocess.run([sys.executable, "scaling.py", argument], cwd=tmp_path, check=True, timeout=60)
    text = inside("why", newest(inside)).stdout.decode()
    assert text.startswith("hit: __main__:scale")
    assert "argument x = 5" in text
    assert "+    return 3" in text
    assert "-    return 2" in text
    assert "factor" in json.loads(inside("why", "--json", newest(inside)).stdout)["differences"][0]["part"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["0123456789"], 1, "there is no transformation 0123456789"),
        ([], 2, "Missing argument"),
        (["--", "echo", "{}", ":::", "a"], 2, "one command at a time"),
        (["--", "no-such-program-here"], 127, "no-such-program-here"),
        (["--", "0123456789"], 127, "0123456789"),
    ],
)
def test_what_cannot_be_explained(inside: Inside, words: list[str], code: int, told: str) -> None:
    done = inside("why", *words)
    assert (done.returncode, done.stdout) == (code, b"")
    assert told in done.stderr.decode()
