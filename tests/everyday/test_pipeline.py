"""A shell pipeline over forty files: by itself, with make, and with Snakemake."""

from __future__ import annotations

import fcntl
import hashlib
import sys
from pathlib import Path

import pytest

from tests.everyday.workshop import REPOSITORY, Workshop, pip, run
from tests.requirements import requires_program

pytestmark = pytest.mark.real

NAMES = [f"sample{n:02}" for n in range(40)]
COUNT = """#!/bin/sh
# usage: count.sh FILE: how many bases of each kind
echo $(basename "$1") >> __LOG__
grep -v '^>' "$1" | fold -w 1 | sort | uniq -c
"""
MAKEFILE = """
SAMPLES := $(wildcard data/*.fasta)
all: report.txt
counts/%.txt: data/%.fasta count.sh
\t@mkdir -p counts
\toffload run -q --input count.sh -o $@ -- sh -c './count.sh $< > $@'
report.txt: $(SAMPLES:data/%.fasta=counts/%.txt)
\toffload run -q --input counts -o $@ -- sh -c 'cat counts/*.txt > $@'
"""
SNAKEFILE = """
from glob import glob
SAMPLES = [name[5:-6] for name in sorted(glob("data/*.fasta"))]
rule all:
    input: "report.txt"
rule count:
    input: "data/{sample}.fasta", "count.sh"
    output: "counts/{sample}.txt"
    shell: "offload run -q --input count.sh -o {output} -- sh -c './count.sh {input[0]} > {output}'"
rule report:
    input: expand("counts/{sample}.txt", sample=SAMPLES)
    output: "report.txt"
    shell: "offload run -q --input counts -o {output} -- sh -c 'cat counts/*.txt > {output}'"
"""


class Pipeline:
    """The files, the script, and who runs them."""

    def __init__(self, directory: Path) -> None:
        self.workshop = Workshop.make(directory)
        self.place = directory / "genes"
        (self.place / "data").mkdir(parents=True)
        for number, name in enumerate(NAMES):
            (self.place / "data" / f"{name}.fasta").write_text(f">{name}\n{'ACGT' * number}\nAC\n")
        script = self.place / "count.sh"
        script.write_text(COUNT.replace("__LOG__", str(self.workshop.log)))
        script.chmod(0o755)
        (self.place / "Makefile").write_text(MAKEFILE)
        (self.place / "Snakefile").write_text(SNAKEFILE)
        command = self.workshop.place / "bin" / "offload"
        command.write_text(f'#!/bin/sh\nexec {self.workshop.python} -m offload "$@"\n')
        command.chmod(0o755)

    def run(self, *words: str | Path) -> str:
        """Run a command in the project's directory."""
        return run(*words, cwd=self.place, **self.workshop.variables)

    def executed(self) -> list[str]:
        """Return the samples that were really counted."""
        return [name.removesuffix(".fasta") for name in self.workshop.executed()]

    def change(self, name: str, text: str) -> None:
        """Give a file other content, or the same once more, now."""
        (self.place / name).write_text(text)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


def test_in_a_loop(pipeline: Pipeline) -> None:
    """``--each`` over the files; a loop with ``read`` loses none of them."""
    words = ("offload", "run", "-q", "-o", "counts/{/.}.txt", "--", "sh", "-c", './count.sh "$1" > counts/$2.txt', "-")
    each = (*words, "{}", "{/.}", ":::", *(f"data/{name}.fasta" for name in NAMES))
    pipeline.run(*each)
    assert pipeline.executed() == NAMES
    assert sorted(path.stem for path in (pipeline.place / "counts").iterdir()) == NAMES
    pipeline.run(*each)
    assert pipeline.executed() == []
    pipeline.change("data/sample07.fasta", ">sample07\nGG\n")
    pipeline.run(*each)
    assert pipeline.executed() == ["sample07"]
    assert (pipeline.place / "counts" / "sample07.txt").read_text().split() == ["2", "G"]
    loop = 'ls data/*.fasta | while read -r file; do offload run -q --stdin none -- grep -c ">" "$file"; done'
    assert pipeline.run("sh", "-c", loop) == "1\n" * len(NAMES)


def test_with_make(pipeline: Pipeline) -> None:
    """What is recalled is up to date for make, too."""
    requires_program("make")
    pipeline.run("make", "-s", "-j2")
    assert pipeline.executed() == NAMES
    report = (pipeline.place / "report.txt").read_text()
    assert pipeline.run("make", "-q") == ""
    # As git checkout or cp do it: the same content, a later time.
    pipeline.change("data/sample03.fasta", (pipeline.place / "data/sample03.fasta").read_text())
    pipeline.run("make", "-s")
    assert pipeline.executed() == []
    assert pipeline.run("make", "-q") == ""
    pipeline.change("data/sample03.fasta", ">sample03\nTTT\n")
    pipeline.run("make", "-s")
    assert pipeline.executed() == ["sample03"]
    assert (pipeline.place / "report.txt").read_text() != report
    pipeline.change("count.sh", (pipeline.place / "count.sh").read_text().replace("sort |", "sort -r |"))
    pipeline.run("make", "-s", "-j2")
    assert pipeline.executed() == NAMES


def snakemake() -> Path:
    """Return Snakemake, in an environment of its own; the network is needed once."""
    digest = hashlib.sha256(sys.executable.encode()).hexdigest()[:12]
    place = REPOSITORY / ".cache" / "everyday" / f"snakemake-{digest}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            run(sys.executable, "-m", "venv", "--clear", "--without-pip", place)
            pip(place, "install", "--prefer-binary", "snakemake>=8")
            (place / "complete").touch()
    return place / "bin" / "snakemake"


def test_with_snakemake(pipeline: Pipeline) -> None:
    """In a fresh checkout of the project Snakemake runs every rule, and offload recalls what each of them made."""
    words = (snakemake(), "-c2")
    pipeline.run(*words)
    assert pipeline.executed() == NAMES
    report = (pipeline.place / "report.txt").read_text()
    for path in [*(pipeline.place / "counts").iterdir(), pipeline.place / "report.txt"]:
        path.unlink()
    pipeline.run(*words, "--forceall")
    assert pipeline.executed() == []
    assert (pipeline.place / "report.txt").read_text() == report
    pipeline.change("data/sample11.fasta", ">sample11\nTTT\n")
    pipeline.run(*words)
    assert pipeline.executed() == ["sample11"]
