"""``offload lineage``."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Inside

SCRIPT = """
import offload

@offload.task
def load(file):
    return open(file).read()

@offload.task
def double(text):
    return text * 2

@offload.task
def join(a, b):
    return [a, b]

@offload.task
def same(x):
    return x

text = double(load(offload.File("count")))
print(join(double(text), same(12345)))
"""


@pytest.fixture
def work(inside: Inside, tmp_path: Path) -> Path:
    """A directory in which commands have made files from each other, and calls values from these."""
    (tmp_path / "words").write_text("b\na\n")
    inside("run", "-o", "sorted", "--", "sh", "-c", "sort words > sorted", cwd=tmp_path)
    inside("run", "-o", "count", "--", "sh", "-c", "wc -l < sorted > count", cwd=tmp_path)
    (tmp_path / "script.py").write_text(SCRIPT)
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    return tmp_path


def told(inside: Inside, work: Path, *words: str) -> Any:
    done = inside("lineage", "--json", *words, cwd=work)
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout)


def chain(buffer: Any) -> list[str]:
    """The labels from the root on, along the first step and the first buffer that has one."""
    labels = []
    while buffer is not None and buffer["steps"]:
        labels.append(buffer["steps"][0]["label"].rpartition(":")[2])
        buffer = next((item for item in buffer["steps"][0]["buffers"] if item["steps"]), None)
    return labels


def newest(inside: Inside, function: str) -> str:
    found = json.loads(inside("history", "--json", "--function", f"*:{function}").stdout)
    assert isinstance(found[0]["transformation"], str)
    return str(found[0]["transformation"])


SORT, COUNT = "sh -c 'sort words > sorted'", "sh -c 'wc -l < sorted > count'"


def test_files_by_their_content(inside: Inside, work: Path) -> None:
    (work / "sorted").rename(work / "elsewhere")
    root = told(inside, work, "elsewhere")
    assert root["checksum"] == hashlib.sha256(b"a\nb\n").hexdigest()
    assert chain(root) == [SORT]
    assert chain(told(inside, work, "count")) == [COUNT, SORT]


def test_values_through_calls_to_files(inside: Inside, work: Path) -> None:
    root = told(inside, work, newest(inside, "join")[:12])
    assert chain(root) == ["join", "double", "double", "load", COUNT, SORT]
    b = root["steps"][0]["buffers"][1]
    assert (b["name"], b["text"], b["steps"][0]["label"]) == ("b", "12345", "__main__:same")
    (x,) = b["steps"][0]["buffers"]
    assert (x["checksum"], x["repeated"], x["steps"]) == (b["checksum"], True, []), "what returns its argument ends"


def test_down(inside: Inside, work: Path) -> None:
    root = told(inside, work, "--down", "words")
    assert chain(root) == [SORT, COUNT, "load", "double", "double", "join"]
    result = told(inside, work, "--down", newest(inside, "load"))
    assert chain(result) == ["double", "double", "join"]


def test_depth(inside: Inside, work: Path) -> None:
    assert chain(told(inside, work, "--depth", "1", "count")) == [COUNT]
    assert chain(told(inside, work, "--down", "--depth", "2", "words")) == [SORT, COUNT]


def test_a_chain_of_a_thousand(inside: Inside, tmp_path: Path) -> None:
    code = "import offload\n@offload.task\ndef up(x): return x + 1\nx = 10**6\nfor _ in range(1000): x = up(x)\n"
    (tmp_path / "chain.py").write_text(code)
    subprocess.run([sys.executable, "chain.py"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    what, labels = newest(inside, "up"), []
    while what:
        done = inside("lineage", what)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.decode().splitlines()
        labels += [line for line in lines if "__main__:up" in line]
        assert "goes on" in lines[-1] or len(labels) == 1000
        what = lines[-1].split()[-3] if "goes on" in lines[-1] else ""
    assert len(labels) == 1000
    buffer, steps = told(inside, tmp_path, newest(inside, "up")), 0
    while buffer["steps"]:
        assert not buffer["cut"]
        buffer, steps = buffer["steps"][0]["buffers"][0], steps + 1
    assert buffer["cut"]
    assert steps == 100
    done = inside("lineage", "--depth", "101", what or "00" * 8)
    assert done.returncode == 2
    assert b"1<=x<=100" in done.stderr


def test_as_a_tree(inside: Inside, work: Path) -> None:
    lines = inside("lineage", "count", cwd=work).stdout.decode().splitlines()
    assert [line.split("  ")[0] for line in lines[:2]] == ["count", f"└─ {COUNT}"]
    assert lines[2].startswith("   └─ sorted  ")
    assert lines[3].startswith(f"      └─ {SORT}  ")
    text = inside("lineage", newest(inside, "join")).stdout.decode()
    assert "   ├─ a = '2\\n2\\n2\\n2\\n'  " in text
    assert "   └─ b = 12345  " in text
    assert "(shown elsewhere)" in text


def test_directories_and_what_is_in_them(inside: Inside, work: Path) -> None:
    inside("run", "-o", "out/", "--", "sh", "-c", "cp words out/copy; echo new > out/new", cwd=work)
    inside("run", "-i", "out", "--", "ls", "out", cwd=work)
    assert chain(told(inside, work, "out/new")) == ["sh -c 'cp words out/copy; echo new > out/new'"]
    assert chain(told(inside, work, "out/")) == ["sh -c 'cp words out/copy; echo new > out/new'"]
    assert [step["label"] for step in told(inside, work, "--down", "--depth", "1", "out/new")["steps"]] == ["ls out"]


def test_output_that_became_input(inside: Inside, work: Path) -> None:
    seq = inside("run", "--", "seq", "3", cwd=work).stdout
    (work / "piped").write_bytes(seq)
    inside("run", "--stdin", "piped", "--", "tac", cwd=work)
    assert chain(told(inside, work, "piped")) == ["seq 3"]
    assert chain(told(inside, work, "--down", "piped")) == ["tac"]


def test_a_buffer_that_many_made(inside: Inside, tmp_path: Path) -> None:
    for number in range(8):
        inside("run", "--var", f"N={number}", "-o", "one", "--", "sh", "-c", "echo 1 > one", cwd=tmp_path)
    root = told(inside, tmp_path, "one")
    assert (len(root["steps"]), root["more"]) == (5, 3)
    assert (
        inside("lineage", "one", cwd=tmp_path)
        .stdout.decode()
        .endswith("└─ ... and 3 other steps with the same content\n")
    )


def test_what_nothing_made(inside: Inside, work: Path) -> None:
    done = inside("lineage", "words", cwd=work)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
    assert done.stderr == b"offload: no recorded call or command made it; lineage --down shows what used it\n"
    for name, text in (("nowhere", "there is no file 'nowhere'"), ("00" * 8, "nothing here has the checksum")):
        done = inside("lineage", name, cwd=work)
        assert (done.returncode, done.stdout) == (1, b"")
        assert text in done.stderr.decode()


def test_what_made_a_file_of_this_name_comes_first(inside: Inside, tmp_path: Path) -> None:
    """Others made the same content, later and elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    for number in range(8):
        inside("run", "--output", "mine", "--", "sh", "-c", "echo 1 > mine", cwd=tmp_path)
        inside("run", "--output", f"other{number}", "--", "sh", "-c", f"echo 1 > other{number}", cwd=tmp_path)
        inside("run", "--output", "mine", "--", "sh", "-c", "echo 1 | cat > mine", cwd=tmp_path / "elsewhere")
    lines = inside("lineage", "mine", cwd=tmp_path).stdout.decode().splitlines()
    assert lines[1].startswith("├─ sh -c 'echo 1 > mine'")
    assert [line.endswith("(made this name)") for line in lines] == [False, True, *[False] * (len(lines) - 2)]
    found = json.loads(inside("lineage", "--json", "mine", cwd=tmp_path / "elsewhere").stdout)
    assert [step["named"] for step in found["steps"]] == [True, False, False, False, False]
    assert found["steps"][0]["label"] == "sh -c 'echo 1 | cat > mine'"
