"""`offload up ssh://...` brings the software along."""

from __future__ import annotations

import pytest

from tests.lab.lab import Lab

pytestmark = pytest.mark.real

TASK = """
import sys
import numpy
import offload

@offload.task
def total(number):
    return float(numpy.arange(number).sum()), numpy.__version__, sys.prefix

if __name__ == "__main__":
    value, version, prefix = total.submit(5).result()
    assert (value, version) == (10.0, numpy.__version__)
    print(prefix)
"""


@pytest.mark.timeout(400)
def test_the_libraries_of_this_machine_are_there(lab: Lab) -> None:
    """Nothing is installed on the host, and no network leads out of it."""
    assert lab.laptop_venv
    up = lab.offload("up", "ssh://alice@h1", "--workers", "1", timeout=280)
    assert up.returncode == 0, up.stderr
    assert "making an environment of" in up.stderr
    (lab.home / "task.py").write_text(TASK)
    command = [str(lab.laptop_venv / "bin/python"), "task.py"]
    done = lab.run(command, cwd=lab.home, env={"OFFLOAD_DEPLOYMENT": "h1"})
    assert done.stdout.startswith("/home/alice/.local/share/offload/environments/"), done.stderr
    assert lab.offload("down", "h1").returncode == 0
    again = lab.offload("up", "ssh://alice@h1", "--workers", "1")
    assert again.returncode == 0, again.stderr
    assert "the environment is ready" in again.stderr


def test_what_cannot_be_is_refused_before_anything_is_done(lab: Lab) -> None:
    for options, reason in (
        (["--environment", "container:"], "is no choice of software"),
        (["--environment", "container:python", "--provider", "slurm"], "not for jobs of a batch system"),
        (["--mount", "/data"], "is for what runs in a container"),
        (["--environment", "container:python", "--mount", "data"], "may be anywhere"),
        (["--environment", "python:bin/python"], "no absolute path"),
    ):
        done = lab.offload("up", "ssh://alice@h1", *options)
        assert done.returncode == 2
        assert reason in done.stderr
        assert "connecting" not in done.stderr
