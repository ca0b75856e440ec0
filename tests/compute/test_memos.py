"""What an `lru_cache` remembers must not be recorded as what a function would give today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = """
import functools, os, pathlib, offload

RATE = 2
SETTINGS = pathlib.Path(__file__).with_name("settings.txt")

@functools.lru_cache
def settings():
    return SETTINGS.read_text()

@functools.cache
def scaled(number):
    return number * RATE

@functools.cache
def content(file):
    return pathlib.Path(file).read_text()

@offload.task
def first(number):
    return settings() * number

@offload.task
def second(number):
    return settings() * number + "!"

@offload.task
def product(number):
    return scaled(number)

@offload.task
def read(file):
    return content(os.fspath(file))

@offload.task(depends_on=[SETTINGS])
def declared(number):
    return settings() * number
"""


def run(folder: Path, program: str, settings: str = "a") -> tuple[str, str]:
    (folder / "settings.txt").write_text(settings)
    (folder / "work.py").write_text(SETTINGS)
    (folder / "program.py").write_text(f"import work, offload\n{program}\n")
    done = subprocess.run(
        [sys.executable, "-W", "default", "program.py"], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    "program", ["work.settings(); print(work.first(3))", "print(work.first(3)); print(work.second(3))"]
)
def test_what_was_read_before_is_read_again(tmp_path: Path, home: Path, program: str) -> None:
    printed, told = run(tmp_path, program)
    assert "settings, an lru_cache, remembers" in told
    assert run(tmp_path, program, "b")[0] == printed.replace("a", "b")


def test_what_was_computed_with_another_global_is_not_recorded(tmp_path: Path, home: Path) -> None:
    printed, told = run(tmp_path, "work.product(3)\nwork.RATE = 5\nprint(work.product(3))")
    assert printed == "6\n" and "scaled, an lru_cache, remembers" in told  # as without offload
    assert run(tmp_path, "work.RATE = 5\nprint(work.product(3))")[0] == "15\n"


def test_a_cache_that_was_cleared_is_what_it_would_be(tmp_path: Path, home: Path) -> None:
    program = "work.product(3)\nwork.RATE = 5\nwork.scaled.cache_clear()\nprint(work.product(3))"
    assert run(tmp_path, program) == ("15\n", "")


def test_an_input_that_was_edited_meanwhile_is_read_again(tmp_path: Path, home: Path) -> None:
    file = "offload.File('settings.txt')"
    program = f"work.read({file})\nopen('settings.txt', 'w').write('bcd')\nprint(work.read({file}))"
    printed, told = run(tmp_path, program)
    assert printed == "a\n" and "content, an lru_cache, remembers" in told
    assert run(tmp_path, f"print(work.read({file}))", "bcd")[0] == "bcd\n"


@pytest.mark.real
def test_a_process_that_goes_on_reads_again_what_was_edited(tmp_path: Path, home: Path) -> None:
    program = """
def results():
    return [call.submit(3).result() for call in (work.declared, work.first)]

if __name__ == "__main__":
    with offload.Deployment(workers=1):
        before = results()
        work.SETTINGS.write_text("b")
        print(before, results())
"""
    assert run(tmp_path, program)[0] == "['aaa', 'aaa'] ['bbb', 'bbb']\n"


def test_what_counts_may_be_remembered(tmp_path: Path, home: Path) -> None:
    program = (
        "work.scaled(3), work.settings()\nprint(work.product(3), work.product(3), work.declared(2), work.declared(3))"
    )
    assert run(tmp_path, program) == ("6 6 aa aaa\n", "")
    assert run(tmp_path, program) == ("6 6 aa aaa\n", "")
    assert run(tmp_path, program, "b") == ("6 6 bb bbb\n", "")
