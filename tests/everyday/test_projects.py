"""Each project is edited and run as its owner would: in fresh processes, with a count of what is really executed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.everyday.projects import PROJECTS, Project
from tests.everyday.workshop import Workshop, answers, edit

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("owner"))


class Owner:
    """Who works on a project."""

    def __init__(self, workshop: Workshop, project: Project, directory: Path, *words: str, **variables: str) -> None:
        self.workshop = workshop
        self.project = project
        self.place = project.write(directory, str(workshop.log))
        self.words = words
        self.variables = variables
        if project.is_installed:
            workshop.install("-e", self.place)

    def run(self) -> tuple[dict[str, object], list[str]]:
        """Return what the script gives, and which calls were executed."""
        printed = self.workshop.run("main.py", *self.words, cwd=self.place, **self.variables)
        return answers(printed), self.workshop.executed()

    def work(self) -> None:
        """Run it, edit it, run it again: after each edit what is affected is executed once, and nothing else."""
        expected = dict(self.project.results)
        assert self.run() == (expected, sorted(self.project.executed.split()))
        assert self.run() == (expected, [])
        for change in self.project.edits:
            edit(self.place / change.file, change.old, change.new)
            expected |= change.results
            assert self.run() == (expected, sorted(change.executed.split())), change
        assert self.run() == (expected, [])


@pytest.mark.parametrize("name", PROJECTS)
def test_in_this_process(workshop: Workshop, name: str, tmp_path: Path) -> None:
    Owner(workshop, PROJECTS[name], tmp_path).work()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("deployed"))


@pytest.mark.parametrize("name", [name for name, project in PROJECTS.items() if project.on_workers])
def test_on_a_deployment(deployed: Workshop, name: str, tmp_path: Path) -> None:
    deployed.offload("up", "--name", "shop", "--workers", "1")
    try:
        Owner(deployed, PROJECTS[name], tmp_path, "map", OFFLOAD_DEPLOYMENT="shop").work()
    finally:
        deployed.offload("down", "shop")
