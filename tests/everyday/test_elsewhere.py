"""The same projects on deployments: on this machine, over SSH, and on Slurm, where nothing sees their files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.everyday import files, notebook, vendored
from tests.everyday.owner import Owner, requires_compiler
from tests.everyday.pipeline import Pipeline
from tests.everyday.places import PLACES, elsewhere, up
from tests.everyday.projects import PROJECTS
from tests.everyday.workshop import Workshop
from tests.requirements import requires_program

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

NOT_YET: dict[tuple[str, str], str] = {}
"""What is right, and is not so yet: by place and project, with the reason."""
AFTER_EDITS = ("signal", "webshop")


@pytest.fixture(scope="module", params=PLACES, ids="on_{}".format)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A workshop whose work goes to a deployment, one for the whole module."""
    if request.param == "here":
        with up("here", Workshop.make(tmp_path_factory.mktemp("here"))) as workshop:
            yield workshop
    else:
        with elsewhere(request.param, request.getfixturevalue("lab_for_module")) as workshop:
            yield workshop


def expect(request: pytest.FixtureRequest, name: str) -> None:
    """Mark the running test as one that shows what is not right yet, if it is."""
    reason = NOT_YET.get((request.node.callspec.params["shop"], name))
    if reason is not None:
        request.applymarker(pytest.mark.xfail(reason=reason, raises=AssertionError, strict=True))


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project(shop: Workshop, name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    requires_compiler(PROJECTS[name])
    expect(request, name)
    Owner(shop, PROJECTS[name], tmp_path).work()


@pytest.mark.parametrize("name", AFTER_EDITS)
def test_a_project_with_new_workers_after_its_edits(name: str, tmp_path: Path) -> None:
    requires_compiler(PROJECTS[name])
    workshop = Workshop.make(tmp_path)
    Owner(workshop, PROJECTS[name], tmp_path).leap(partial(up, "here", workshop))


def test_files(shop: Workshop, tmp_path: Path) -> None:
    files.work_with_files(tmp_path, lambda: shop.run("pipeline.py", cwd=tmp_path))


def test_a_notebook(shop: Workshop, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    expect(request, "notebook")
    notebook.work(shop, tmp_path)


def test_libraries_decorated_in_place(shop: Workshop, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    expect(request, "vendored")
    vendored.work(shop, tmp_path)


def test_a_pipeline_in_a_loop(shop: Workshop, tmp_path: Path) -> None:
    Pipeline(shop, tmp_path, 6).work_in_a_loop()


def test_a_pipeline_with_make(shop: Workshop, tmp_path: Path) -> None:
    requires_program("make")
    Pipeline(shop, tmp_path, 6).work_with_make()


def test_a_pipeline_with_snakemake(shop: Workshop, tmp_path: Path) -> None:
    Pipeline(shop, tmp_path, 6).work_with_snakemake()
