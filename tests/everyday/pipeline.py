"""A shell pipeline over files: by itself, with make, and with Snakemake."""

from __future__ import annotations

import fcntl
import hashlib
import sys
from pathlib import Path

from tests.everyday.workshop import REPOSITORY, Workshop, pip, run

COUNT = """#!/bin/sh
# usage: count.sh FILE: how many bases of each kind, in __PLACE__
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
    """So many files, the script, and who runs them."""

    def __init__(self, workshop: Workshop, directory: Path, size: int = 40) -> None:
        workshop.executed()
        self.workshop = workshop
        self.names = [f"sample{n:02}" for n in range(size)]
        self.place = directory / "genes"
        (self.place / "data").mkdir(parents=True)
        for number, name in enumerate(self.names):
            (self.place / "data" / f"{name}.fasta").write_text(f">{name}\n{'ACGT' * number}\nAC\n")
        script = self.place / "count.sh"
        # No test is answered from another one's results.
        script.write_text(COUNT.replace("__LOG__", self.workshop.noted).replace("__PLACE__", directory.name))
        script.chmod(0o755)
        (self.place / "Makefile").write_text(MAKEFILE)
        (self.place / "Snakefile").write_text(SNAKEFILE)

    def run(self, *words: str | Path) -> str:
        """Run a command in the project's directory."""
        return self.workshop.program(*words, cwd=self.place)

    def executed(self) -> list[str]:
        """Return the samples that were really counted."""
        return [name.removesuffix(".fasta") for name in self.workshop.executed()]

    def change(self, name: str, text: str) -> None:
        """Give a file other content, or the same once more, now."""
        (self.place / name).write_text(text)

    def work_in_a_loop(self) -> None:
        """``--each`` over the files; a loop with ``read`` loses none of them."""
        words = (
            "offload",
            "run",
            "-q",
            "-o",
            "counts/{/.}.txt",
            "--",
            "sh",
            "-c",
            './count.sh "$1" > counts/$2.txt',
            "-",
        )
        each = (*words, "{}", "{/.}", ":::", *(f"data/{name}.fasta" for name in self.names))
        self.run(*each)
        assert self.executed() == self.names
        assert sorted(path.stem for path in (self.place / "counts").iterdir()) == self.names
        self.run(*each)
        assert self.executed() == []
        self.change("data/sample02.fasta", ">sample02\nGG\n")
        self.run(*each)
        assert self.executed() == ["sample02"]
        assert (self.place / "counts" / "sample02.txt").read_text().split() == ["2", "G"]
        loop = 'ls data/*.fasta | while read -r file; do offload run -q --stdin none -- grep -c ">" "$file"; done'
        assert self.run("sh", "-c", loop) == "1\n" * len(self.names)

    def work_with_make(self) -> None:
        """What is recalled is up to date for make, too."""
        self.run("make", "-s", "-j2")
        assert self.executed() == self.names
        report = (self.place / "report.txt").read_text()
        assert self.run("make", "-q") == ""
        # As git checkout or cp do it: the same content, a later time.
        self.change("data/sample03.fasta", (self.place / "data/sample03.fasta").read_text())
        self.run("make", "-s")
        assert self.executed() == []
        assert self.run("make", "-q") == ""
        self.change("data/sample03.fasta", ">sample03\nTTT\n")
        self.run("make", "-s")
        assert self.executed() == ["sample03"]
        assert (self.place / "report.txt").read_text() != report
        self.change("count.sh", (self.place / "count.sh").read_text().replace("sort |", "sort -r |"))
        self.run("make", "-s", "-j2")
        assert self.executed() == self.names

    def work_with_snakemake(self) -> None:
        """In a fresh checkout of the project Snakemake runs every rule, and offload recalls what each of them made."""
        words = (snakemake(), "-c2")
        self.run(*words)
        assert self.executed() == self.names
        report = (self.place / "report.txt").read_text()
        for path in [*(self.place / "counts").iterdir(), self.place / "report.txt"]:
            path.unlink()
        self.run(*words, "--forceall")
        assert self.executed() == []
        assert (self.place / "report.txt").read_text() == report
        self.change("data/sample04.fasta", ">sample04\nTTT\n")
        self.run(*words)
        assert self.executed() == ["sample04"]


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
