"""Who works on a project: runs it, edits it, runs it again, in fresh processes."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tests.everyday.project import Edit, Project
from tests.everyday.workshop import Workshop, answers, edit
from tests.requirements import requires, requires_program


class Owner:
    """Has a project in a workshop; where that has a deployment, the calls go there."""

    def __init__(self, workshop: Workshop, project: Project, directory: Path) -> None:
        self.workshop = workshop
        self.project = project
        self.place = project.write(directory, workshop.noted)
        if project.is_installed:
            workshop.install("-e", self.place)
        for words in project.prepared:
            workshop.run(*words, cwd=self.place)
        workshop.executed()

    def run(self) -> tuple[dict[str, object], list[str]]:
        """Return what the project's program gives, and which calls were executed."""
        words = (*self.project.program, *(["map"] if self.workshop.deployment else []))
        return answers(self.workshop.run(*words, cwd=self.place)), self.workshop.executed()

    def change(self, edits: Edit) -> None:
        """Make an edit."""
        if not edits.old:
            self.workshop.run(*edits.file.split(), cwd=self.place)
            return
        edit(self.place / edits.file, edits.old, edits.new)
        if edits.file.endswith(".c"):
            self.workshop.install("-e", self.place)

    def work(self) -> None:
        """Run it, edit it, run it again: after each edit what is affected is executed once, and nothing else."""
        expected = dict(self.project.results)
        assert self.run() == (expected, sorted(self.project.executed.split()))
        assert self.run() == (expected, [])
        for edits in self.project.edits:
            self.change(edits)
            expected |= edits.results
            assert self.run() == (expected, sorted(edits.executed.split())), edits
        assert self.run() == (expected, [])

    def leap(self, deployed: Callable[[], AbstractContextManager[Workshop]]) -> None:
        """Run it, make all of its edits at once, run it again: each time on a deployment that has just come up."""
        expected = dict(self.project.results)
        with deployed():
            assert self.run() == (expected, sorted(self.project.executed.split()))
        for edits in self.project.edits:
            self.change(edits)
            expected |= edits.results
        with deployed():
            executed = {word for edits in self.project.edits for word in edits.executed.split()}
            assert self.run() == (expected, sorted(executed))
            assert self.run() == (expected, [])


def requires_compiler(project: Project) -> None:
    """Skip the running test where the project has C in it, and this machine cannot compile that."""
    if any(file.endswith(".c") for file in project.files):
        requires_program("cc")
        header = Path(sysconfig.get_path("include"), "Python.h")
        requires(header.exists(), f"needs Python's C headers ({header})")
