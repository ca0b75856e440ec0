"""A shell pipeline over forty files, with commands of this machine alone."""

from __future__ import annotations

from pathlib import Path

import pytest

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


def test_with_snakemake(pipeline: Pipeline) -> None:
    pipeline.work_with_snakemake()
