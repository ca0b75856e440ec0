"""Each project is edited and run as its owner would: in fresh processes, with a count of what is really executed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.everyday.owner import Owner, requires_compiler
from tests.everyday.projects import PROJECTS
from tests.everyday.workshop import Workshop

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("owner"))


@pytest.mark.parametrize("name", PROJECTS)
def test_in_this_process(workshop: Workshop, name: str, tmp_path: Path) -> None:
    requires_compiler(PROJECTS[name])
    Owner(workshop, PROJECTS[name], tmp_path).work()
