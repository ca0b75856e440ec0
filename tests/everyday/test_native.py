"""A package with a C extension, built again while a worker has it loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.everyday.owner import Owner, requires_compiler
from tests.everyday.places import up
from tests.everyday.projects import SIGNAL
from tests.everyday.workshop import Workshop

pytestmark = pytest.mark.real


def test_workers_load_it_anew(tmp_path: Path) -> None:
    requires_compiler(SIGNAL)
    workshop = Workshop.make(tmp_path)
    with up("here", workshop):
        Owner(workshop, SIGNAL, tmp_path).work()
