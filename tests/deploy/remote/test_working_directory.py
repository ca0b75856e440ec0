"""Calls on a machine that does not see the program's directory: in an empty one, with what they were given in place."""

from __future__ import annotations

import shutil

import pytest

from tests.deploy.remote.conftest import PYTHON
from tests.lab.lab import Lab

pytestmark = pytest.mark.real

PROGRAM = """
import pathlib
import offload

@offload.task(depends_on=[pathlib.Path("data/declared.txt")])
def declared(number):
    return open("data/declared.txt").read()

@offload.task
def by_name(file, folder):
    return open("data/given.txt").read() + open("tree/leaf.txt").read()

@offload.task
def undeclared(number):
    return open("data/other.txt").read()

@offload.task
def write(text):
    with open("made.txt", "w") as file:
        file.write(text)
    return offload.File("made.txt")

@offload.task
def report(table, text):
    place = offload.output("results/report.txt")
    with open(place, "w") as file, open(table) as rows:
        file.write(rows.read() + text)
    with open(offload.output(pathlib.Path(__file__).parent / "results/absolute.txt"), "w") as file:
        file.write(text)
    return {"report": place}

if __name__ == "__main__":
    given, tree = offload.File("data/given.txt"), offload.Directory("tree")
    futures = declared.submit(1), by_name.submit(given, tree), write.submit("made there")
    results = offload.gather(futures)
    print(*results[:2], open(results[2]).read(), [bool(future.recalled) for future in futures])
    for _ in range(2):
        offload.run(["sh", "-c", "cat data/given.txt > table.txt"], output=["table.txt"])
        future = report.submit(offload.File("table.txt"), " and more")
        (place,) = future.result().values()
        lines = offload.run(["cat", "results/report.txt", "results/absolute.txt"]).lines()
        print(place.path, *lines, bool(future.recalled))
    try:
        undeclared.submit(1).result()
    except FileNotFoundError as error:
        print(next(note for note in error.__notes__ if "empty directory" in note))
"""


def test_calls_on_another_machine(ready: Lab) -> None:
    lab, environment = ready, {"OFFLOAD_DEPLOYMENT": "h1"}
    assert lab.offload("up", "ssh://alice@h1", *PYTHON, "--workers", "1").returncode == 0
    project = lab.home / "project"
    for name, text in {"declared": "one", "given": "two", "other": "three"}.items():
        (project / "data").mkdir(parents=True, exist_ok=True)
        (project / f"data/{name}.txt").write_text(text)
        # the same path holds something else there
        lab.host("h1").write(str(project / f"data/{name}.txt"), "666")
    (project / "tree").mkdir()
    (project / "tree/leaf.txt").write_text("leaf")
    (project / "program.py").write_text(PROGRAM)
    command = [str(lab.laptop_venv / "bin/python"), "program.py"]
    for recalled in (False, True):
        done = lab.run(command, cwd=project, env=environment)
        first, *reports, told = done.stdout.splitlines()
        assert first == f"one twoleaf made there {[recalled] * 3}", done.stderr
        made = f"{project}/results/report.txt two and more and more"
        assert reports == [f"{made} {recalled}", f"{made} True"]
        shutil.rmtree(project / "results")
        assert f"{project} is not seen there; pass offload.File('data/other.txt')" in told
        assert (project / "made.txt").read_text() == "made there"
        (project / "made.txt").unlink()
    (project / "data/declared.txt").write_text("changed")
    done = lab.run(command, cwd=project, env=environment)
    assert done.stdout.startswith(f"changed twoleaf made there {[False, True, True]}"), done.stderr
