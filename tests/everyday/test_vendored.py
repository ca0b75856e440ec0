"""Libraries with decorated functions, in processes of this machine alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.everyday import vendored
from tests.everyday.workshop import Workshop

pytestmark = pytest.mark.real


def test_three_libraries_decorated_in_place(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    vendored.work(Workshop.make(tmp_path), tmp_path / "project")
