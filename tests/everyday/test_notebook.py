"""A notebook, in kernels of this machine alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.everyday import notebook
from tests.everyday.workshop import Workshop

pytestmark = pytest.mark.real


def test_a_notebook(tmp_path: Path) -> None:
    (tmp_path / "notebook").mkdir()
    notebook.work(Workshop.make(tmp_path), tmp_path / "notebook")
