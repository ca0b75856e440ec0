"""Programs that only a cluster has, which lines before its workers (such as ``module load``) put on their PATH."""

from __future__ import annotations

import pytest

from tests.deploy.test_slurm import JOBS, Cluster
from tests.lab.slurm import Slurm

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

TOOL = """#!/bin/sh
echo "$TOOL_HOME tripled: $((3 * $1)) in $(basename $PWD)"
"""


@pytest.fixture
def cluster(slurm: Slurm) -> Cluster:
    login = slurm.login
    login.exec("mkdir -p opt/bin", user="alice")
    login.write("/home/alice/opt/bin/mytool", TOOL, user="alice", mode=0o755)
    return Cluster(slurm)


def test_a_program_of_a_module(cluster: Cluster) -> None:
    lab = cluster.lab
    lines = "export PATH=$HOME/opt/bin:$PATH TOOL_HOME=/opt/tool-1"
    cluster.up(*JOBS, "--workers", "1", "--prologue", lines)
    words = "run", "--on", "login", "--"
    first = lab.offload(*words, "mytool", "3", timeout=120)
    assert first.stdout.startswith("/opt/tool-1 tripled: 9 in "), first.stderr
    told = "mytool is looked for on the workers of login, and counts by its name, with that machine and the prologue"
    assert told in first.stderr
    absolute = lab.offload(*words, "/home/alice/opt/bin/mytool", "4", timeout=120)
    assert "tripled: 12" in absolute.stdout, absolute.stderr
    shell = lab.offload("run", "--on", "login", "--there", "--", "sh", "-c", "mytool 5 | sed s/tripled/T/", timeout=120)
    assert "T: 15" in shell.stdout, shell.stderr
    without = lab.offload(*words, "sh", "-c", "mytool 6", timeout=120)
    assert without.returncode in (126, 127) and "those of the workers: offload run --there" in without.stderr
    many = lab.offload(*words, "mytool", ":::", "1", "2", timeout=120)
    assert [line.split()[2] for line in many.stdout.splitlines()] == ["3", "6"], many.stderr
    nowhere = lab.offload(*words, "mytol", "3", timeout=120)
    assert nowhere.returncode in (126, 127)
    assert "mytol is looked for on the workers of login" in nowhere.stderr
    again = lab.offload(*words, "mytool", "3")
    assert "recalled" in again.stderr and again.stdout == first.stdout
    cluster.down()
    cluster.up(
        *JOBS, "--workers", "1", "--prologue", lines.replace("tool-1", "tool-2")
    )  # another module is another tool
    other = lab.offload(*words, "mytool", "3", timeout=120)
    assert other.stdout.startswith("/opt/tool-2 tripled: 9"), other.stderr
    assert "recalled" not in other.stderr
    cluster.down()
