"""A shell pipeline over forty files, with commands of this machine alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.everyday.files import work_with_files
from tests.everyday.pipeline import Pipeline
from tests.everyday.workshop import Workshop
from tests.requirements import requires_program

pytestmark = pytest.mark.real


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(Workshop.make(tmp_path), tmp_path)


def test_in_a_loop(pipeline: Pipeline) -> None:
    pipeline.work_in_a_loop()


def test_with_make(pipeline: Pipeline) -> None:
    requires_program("make")
    pipeline.work_with_make()


def test_with_tasks(tmp_path: Path) -> None:
    workshop = Workshop.make(tmp_path)
    (tmp_path / "project").mkdir()
    work_with_files(tmp_path / "project", lambda: workshop.run("pipeline.py", cwd=tmp_path / "project"))


def test_with_snakemake(pipeline: Pipeline) -> None:
    pipeline.work_with_snakemake()
