"""``offload verify``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Inside
from tests.conftest import Offload

SCRIPT = """
import dataclasses, os, random, sys
import offload
import verified_helper

@dataclasses.dataclass
class Point:
    x: int

@offload.task
def total(x, *more, k=3, **named):
    print("printed by a call")
    return verified_helper.one_more(x) + k + sum(more) + sum(named.values())

@offload.task
def noise(x):
    return {"values": [x, random.random()]}

@offload.task
def numbers(n):
    return list(range(n))

@offload.task
def length(values):
    return len(values)

@offload.task
def coordinate(point):
    return point.x

@offload.task(ignore=["log"])
def quiet(x, log):
    return x

@offload.task(environ=["SOME_RATE"])
def rated(x):
    return x * int(os.environ.get("SOME_RATE", 2))

@offload.task
def late(x):
    import verified_helper
    return verified_helper.one_more(x)

@offload.task
def read(file):
    return open(file).read()

@offload.task
def sort(values):
    values.sort()
    return values

@offload.task
def die(x):
    if os.environ.get("DIE"):
        os.kill(os.getpid(), 9)
    return x

@offload.task
def fail(x):
    if os.environ.get("DIE"):
        raise ValueError("too long\\n\\n  and why")
    return x

if __name__ == "__main__":
    exec(sys.argv[1])
"""


class Project:
    """A script, its helper, and calls of what they define."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "verified_script.py").write_text(SCRIPT)
        (path / "verified_helper.py").write_text("def one_more(x):\n    return x + 1\n")

    def run(self, text: str) -> None:
        words = [sys.executable, "verified_script.py", text]
        subprocess.run(words, cwd=self.path, check=True, capture_output=True, timeout=60)


@pytest.fixture
def project(home: Path, tmp_path: Path) -> Project:
    return Project(tmp_path)


def verified(inside: Inside, *words: str) -> tuple[int, Any]:
    done = inside("verify", "--json", *words)
    assert done.stderr == b""
    return done.returncode, json.loads(done.stdout)


def reason(inside: Inside, *words: str) -> str:
    """Why the only thing there is was not run."""
    code, told = verified(inside, *words)
    assert (code, told["verified"], len(told["not_run"])) == (0, 0, 1)
    (text,) = told["not_run"][0]["reasons"]
    assert isinstance(text, str)
    return text


def test_nothing_to_verify(inside: Inside) -> None:
    done = inside("verify")
    assert done.returncode == 1
    assert b"no recorded result matches" in done.stderr


def test_commands_that_give_the_same(offload: Offload, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("b\na\n")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "x").write_text("x")
    (tmp_path / "job.sh").write_text("#!/bin/sh\ncat words letters/x > made/here\n")
    (tmp_path / "job.sh").chmod(0o755)
    for words in (
        ["-o", "sorted", "--", "sh", "-c", "sort words > sorted; echo done"],
        ["-i", "words", "-i", "letters", "-o", "made/", "--", "./job.sh"],
        ["--var", "SEED=1", "--", "printenv", "SEED"],
        ["--stdin", "words", "--", "wc"],
        ["--", "ls", "letters"],
    ):
        assert offload("run", *words, cwd=tmp_path).returncode == 0
    assert offload("run", "--", "cat", input=b"piped", cwd=tmp_path).returncode == 0
    (tmp_path / "sorted").write_text("left alone")
    before = offload("history", "--json").stdout
    done = offload("verify")
    assert (done.returncode, done.stdout) == (0, b"6 results looked at: 6 the same, 0 different\n")
    assert (tmp_path / "sorted").read_text() == "left alone"
    assert offload("history", "--json").stdout == before, "nothing is recorded"


def test_an_open_standard_input_stays_open(home: Path, command: Path, inside: Inside) -> None:
    reader, writer = os.pipe()
    try:
        text = "timeout 0.3 cat; test $? = 124 && echo waited"
        subprocess.run([command, "run", "-q", "--", "sh", "-c", text], stdin=reader, check=True, timeout=60)
    finally:
        os.close(reader)
        os.close(writer)
    code, told = verified(inside)
    assert (code, told["same"]) == (0, 1), told


def test_commands_that_differ(offload: Offload, tmp_path: Path) -> None:
    offload("run", "--", "sh", "-c", "echo first; date +%N", cwd=tmp_path)
    offload("run", "-o", "out/", "--", "sh", "-c", "echo a > out/same; date +%N > out/time", cwd=tmp_path)
    offload("run", "--", "sh", "-c", "date +%N >&2", cwd=tmp_path)
    done = offload("verify")
    assert done.returncode == 1
    text = done.stdout.decode()
    assert "    stdout: line 2: '" in text
    assert "    out/time: line 1: '" in text
    assert "    stderr: line 1: '" in text
    assert "    out/same" not in text
    assert text.endswith("3 results looked at: 0 the same, 3 different\n")


def test_a_command_that_fails_now(offload: Offload, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    (tmp_path / "job.sh").write_text(f"#!/bin/sh\ntest ! -e {flag} || {{ echo no more >&2; exit 3; }}\n")
    (tmp_path / "job.sh").chmod(0o755)
    assert offload("run", "--", "./job.sh", cwd=tmp_path).returncode == 0
    flag.write_text("")
    done = offload("verify", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["different"][0]["reasons"] == ["exit code 0 -> 3: no more"]


def test_an_input_that_is_another_one_now(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("one")
    inside("run", "--", "wc", "words", cwd=tmp_path)
    (tmp_path / "words").write_text("two")
    assert reason(inside) == "the input words has other content now, and its content is not in the store"
    (tmp_path / "words").unlink()
    assert reason(inside) == "the input words is gone, and its content is not in the store"
    (tmp_path / "elsewhere").write_text("one")
    inside("put", str(tmp_path / "elsewhere"))
    code, told = verified(inside)
    assert (code, told["same"]) == (0, 1)


def test_an_input_that_another_command_made(inside: Inside, tmp_path: Path) -> None:
    inside("run", "-o", "out/", "--", "sh", "-c", "mkdir out/deep; echo a > out/deep/a", cwd=tmp_path)
    inside("run", "--", "cat", "out/deep/a", cwd=tmp_path)
    inside("run", "-i", "out", "--", "ls", "-R", "out", cwd=tmp_path)
    for path in (tmp_path / "out" / "deep" / "a", tmp_path / "out" / "deep", tmp_path / "out"):
        path.unlink() if path.is_file() else path.rmdir()
    code, told = verified(inside)
    assert (code, told["same"], told["not_run"]) == (0, 3, [])


def test_a_program_that_is_another_one_now(inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "mine"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    inside("run", "--", "mine")
    program.write_text("#!/bin/sh\necho 2\n")
    assert reason(inside) == "the program mine is not the one that it used"


def test_a_result_that_is_gone(inside: Inside) -> None:
    inside("run", "--", "echo", "x")
    inside("gc", "--max-size", "0")
    assert reason(inside) == "its result is not stored any more"


def test_calls_that_give_the_same(offload: Offload, project: Project) -> None:
    (project.path / "words").write_text("x")
    project.run(
        "total(1); total(1, 2, 3, k=5, z=4); length(numbers(10000)); coordinate(Point(3)); late(3);"
        "read(offload.File('words')); sort.submit([3, 1]).result(); print(total.submit(7).result())"
    )
    (project.path / "verified_helper.py").write_text("def one_more(x):\n    return x + 2\n")
    done = offload("verify", "--kind", "python")
    assert done.stdout == b"9 results looked at: 9 the same, 0 different\n"
    assert done.returncode == 0


def test_calls_that_differ(inside: Inside, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.run("noise(1); die(2); fail(3)")
    monkeypatch.setenv("DIE", "1")
    code, told = verified(inside)
    assert code == 1
    texts = {found["label"]: found["reasons"][0] for found in told["different"]}
    assert texts["__main__:noise"].startswith("['values'][1]: 0.")
    assert texts["__main__:die"] == "the result -> the process ended by signal 9"
    assert texts["__main__:fail"] == "the result -> ValueError: too long"
    assert inside("history", "--json", "--outcome", "irreproducible").stdout == b"[]\n"


def test_calls_that_cannot_be_run(inside: Inside, project: Project) -> None:
    (project.path / "words").write_text("x")
    project.run("length(list(range(10000))); read(offload.File('words'))")
    (project.path / "words").write_text("y")
    code, told = verified(inside)
    assert (code, told["verified"]) == (0, 0)
    texts = {found["label"]: found["reasons"] for found in told["not_run"]}
    assert texts["__main__:length"] == [
        "not kept, since larger than 4 KiB with its code and no recorded result: argument values"
    ]
    assert texts["__main__:read"] == ["its argument file is not what it was (a file with other content?)"]
    text = inside("verify", "--function", "*:length").stdout.decode()
    assert text.endswith("1 result looked at: 0 the same, 0 different, 1 not run\n")


def test_a_sample_and_filters(inside: Inside, project: Project) -> None:
    project.run("[late(x) for x in range(6)]")
    inside("run", "--", "echo", "x")
    assert verified(inside, "--sample", "2", "--kind", "python")[1]["same"] == 2
    assert verified(inside, "--command", "echo *")[1]["same"] == 1
    checksum = json.loads(inside("history", "--json").stdout)[0]["transformation"]
    assert verified(inside, checksum[:12])[1]["same"] == 1
    assert inside("verify", checksum[:12], "--kind", "python").returncode == 2


def test_a_reason_that_many_have_is_told_once(inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "input").write_text("then")
    for number in range(6):
        assert inside("run", "--", "sh", "-c", f"cat input; echo {number}").returncode == 0
    assert inside("run", "--", "echo", "fine").returncode == 0
    (tmp_path / "input").write_text("now")
    lines = inside("verify").stdout.decode().splitlines()
    assert lines[0] == "not run: 6 results"
    assert "input" in lines[1]
    assert ["cat input" in line for line in lines[2:5]] == [True] * 3
    assert lines[5:] == [
        "    and 3 more (--json names all)",
        "7 results looked at: 1 the same, 0 different, 6 not run",
    ]
    assert len(json.loads(inside("verify", "--json").stdout)["not_run"]) == 6


def test_interrupted(home: Path, command: Path, tmp_path: Path) -> None:
    subprocess.run([command, "run", "-q", "--", "echo", "x"], check=True, timeout=60)
    flag = tmp_path / "flag"
    (tmp_path / "job.sh").write_text(f"#!/bin/sh\ntest ! -e {flag} || {{ echo $$ > {flag}; exec sleep 600; }}\n")
    (tmp_path / "job.sh").chmod(0o755)
    subprocess.run([command, "run", "-q", "--", "./job.sh"], cwd=tmp_path, check=True, timeout=60)
    flag.write_text("")
    with subprocess.Popen([command, "verify"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not flag.read_text().strip():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")
    assert b"interrupted" in out
    with pytest.raises(ProcessLookupError):
        os.kill(int(flag.read_text()), 0)


def test_a_call_with_an_ignored_argument(project: Project, inside: Inside) -> None:
    project.run("quiet(1, 'small'); quiet(2, (x for x in [1]))")
    code, told = verified(inside)
    assert (code, told["same"], len(told["not_run"])) == (0, 1, 1), told


def test_a_call_of_a_function_with_declarations(project: Project, inside: Inside) -> None:
    project.run("rated(2)")
    code, told = verified(inside)
    assert (code, told["same"]) == (0, 1), told
