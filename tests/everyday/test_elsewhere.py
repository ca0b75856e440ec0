"""A folder of scripts, worked on at a laptop and computed elsewhere: over SSH, and by jobs of Slurm."""

from __future__ import annotations

import pytest

from tests.deploy.remote.conftest import PYTHON
from tests.everyday.projects import FOLDER
from tests.everyday.workshop import answers, edit
from tests.lab.lab import Lab
from tests.lab.slurm import Slurm

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]


def work(lab: Lab, name: str) -> None:
    """Run the project on a deployment, edit it, run it again: what an edit affects is executed there once."""
    log = lab.shared / "executed"
    place = FOLDER.write(lab.home, "/shared/executed")

    def run() -> tuple[dict[str, object], list[str]]:
        words = [str(lab.laptop_venv / "bin/python"), "main.py", "map"]
        done = lab.run(words, cwd=place, env={"OFFLOAD_DEPLOYMENT": name, "PYTHONDONTWRITEBYTECODE": "1"}, timeout=180)
        assert done.returncode == 0, done.stderr
        executed = sorted(log.read_text().split()) if log.exists() else []
        if executed:
            log.write_text("")
        return answers(done.stdout), executed

    expected = dict(FOLDER.results)
    assert run() == (expected, sorted(FOLDER.executed.split()))
    assert run() == (expected, [])
    for change in FOLDER.edits:
        edit(place / change.file, change.old, change.new)
        expected |= change.results
        assert run() == (expected, sorted(change.executed.split())), change
    assert run() == (expected, [])


def test_over_ssh(lab: Lab) -> None:
    assert lab.offload_venv
    up = lab.offload("up", "ssh://alice@h1", *PYTHON, "--name", "shop", "--workers", "1", timeout=180)
    assert up.returncode == 0, up.stderr
    work(lab, "shop")


def test_on_slurm(slurm: Slurm) -> None:
    assert slurm.lab.offload_venv
    jobs = ["--workers", "1", "--cores", "1", "--memory", "500MB", "--walltime", "20m"]
    up = slurm.lab.offload("up", "slurm://alice@login", *PYTHON, "--name", "shop", *jobs, timeout=180)
    assert up.returncode == 0, up.stderr
    work(slurm.lab, "shop")
