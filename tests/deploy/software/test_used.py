from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from offload.environments.usage import keep_used, mark_used


def test_an_environment_that_runs_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (tmp_path / "used").touch()
    os.utime(tmp_path / "used", (1000, 1000))
    assert not mark_used(), "not one that was made by offload"
    asyncio.run(asyncio.wait_for(keep_used(), 60))
    assert (tmp_path / "used").stat().st_mtime == 1000
    (tmp_path / "environment.json").write_text("{}")
    assert mark_used()
    assert (tmp_path / "used").stat().st_mtime > 1000
    (tmp_path / "used").unlink()
    assert not mark_used()
