"""What an earlier version recorded and kept goes on with this one."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from offload.commands.planning.plan import Plan
from offload.jobs.commands.journal import Ledger
from offload.jobs.commands.protocol import ENDED, Outcome

OLD = Path(__file__).parent / "old"
"""Made by the version of 29 November 2026: a home, a list of jobs of which two wait, and the program."""


def run(*words: str, home: Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OFFLOAD_HOME": str(home)}
    return subprocess.run(
        [sys.executable, *words], env=environment, cwd=cwd, capture_output=True, text=True, timeout=100, check=False
    )


def test_jobs_that_waited_are_read(tmp_path: Path) -> None:
    shutil.copy(OLD / "jobs.sqlite", tmp_path)
    ledger = Ledger(str(tmp_path / "jobs.sqlite"))
    waiting = ledger.under_way()
    plans: list[Plan] = [pickle.loads(job.plan) for job in waiting]
    assert [plan.request.argv[-1] for plan in plans] == ["echo waited in old", "cat words.txt; echo second"]
    assert [type(plan) for plan in plans] == [Plan] * 2
    assert [plan.transformation for plan in plans] == [job.transformation for job in waiting]
    (ended,) = ledger.ended()
    assert (ended.state, type(ended.outcome)) == (ENDED, Outcome)
    ledger.close()


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="recorded with Python 3.11")
def test_a_home_is_recalled_and_verified(tmp_path: Path) -> None:
    with tarfile.open(OLD / "home.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    home, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    shutil.copy(OLD / "analysis.py", work)
    before = run("-m", "offload", "history", "--json", home=home)
    done = run("analysis.py", home=home, cwd=work)
    assert "Circle(radius=2.0) [Circle(radius=0.5), Circle(radius=1.0)]" in done.stderr
    assert run("-m", "offload", "history", "--json", home=home).stdout == before.stdout, "a call ran again"
    verified = run("-m", "offload", "verify", "--kind", "python", home=home, cwd=work)
    assert verified.returncode == 0, verified.stderr
