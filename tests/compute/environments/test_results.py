"""Results of classes that only an environment has: this process cannot decode them, and passes them on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.test_environment import Worker, environment, place

__all__ = ["place"]
pytestmark = [pytest.mark.real, pytest.mark.usefixtures("home"), pytest.mark.timeout(300)]

PROGRAM = """
import json, offload

@offload.task(environment="env")
def made(n):
    import grades
    return grades.Grade(n)

@offload.task(environment="env")
def added(grades, more):
    return sum(grade.value for grade in grades) + more["more"].value

@offload.task
def here(grade):
    return 1

if __name__ == "__main__":
    one, two, three = made.map([1, 2, 3])
    total = added.submit([one, two], {"more": three})
    print(json.dumps([total.result(60), total.recalled, repr(one.exception(60)), repr(here.submit(two).exception(60))]))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose environment has a module that the program has not."""
    directory = tmp_path / "project"
    directory.mkdir()
    environment(directory / "env", "1.5")
    (site,) = (directory / "env").glob("lib/python3*/site-packages")
    (site / "grades.py").write_text("class Grade:\n    def __init__(self, value): self.value = value\n")
    (directory / "main.py").write_text(PROGRAM)
    return directory


def check(directory: Path) -> None:
    for recalled in (False, True):
        done = subprocess.run([sys.executable, "main.py"], cwd=directory, capture_output=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr.decode()
        total, again, one, two = json.loads(done.stdout)
        assert (total, again) == (6, recalled)
        assert one.startswith("DecodeError(") and "grades:Grade is not here" in one
        assert two == one  # a task of this process needs the value


def test_they_are_arguments_of_calls_in_the_environment(project: Path) -> None:
    check(project)


def test_they_are_on_a_deployment(project: Path, place: object, tmp_path: Path) -> None:
    with Worker(place, environment(tmp_path / "without", None), "shared"):  # type: ignore[arg-type]
        check(project)
