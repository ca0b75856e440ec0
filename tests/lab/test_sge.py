"""The Grid Engine cluster of the lab does what real ones do."""

from __future__ import annotations

import pytest

from tests.lab.lab import Lab
from tests.lab.sge import Sge

pytestmark = pytest.mark.real


def test_jobs_run_on_the_nodes_as_their_user(lab: Lab, sge: Sge) -> None:
    job = sge.submit("echo $JOB_ID $(whoami) $(hostname) > result", "-l", "hostname=c2", user="bob")
    sge.wait_for_state(job, "")
    assert lab.ssh("bob@login", "cat result").stdout == f"{job} bob c2\n"


def test_jobs_wait_for_slots_and_can_be_deleted(sge: Sge) -> None:
    jobs = [sge.submit("sleep 100", "-pe", "smp", "4") for _ in range(3)]
    for job in jobs[:2]:
        sge.wait_for_state(job, "r")
    assert sge.state(jobs[2]) == "qw"
    sge.run(f"qdel {jobs[0]}")
    sge.wait_for_state(jobs[0], "")
    sge.wait_for_state(jobs[2], "r")


def test_a_crashed_node_comes_back(lab: Lab, sge: Sge) -> None:
    lab.host("c1").crash()
    sge.boot(lab.host("c1"))
    job = sge.submit("hostname > where", "-l", "hostname=c1")
    sge.wait_for_state(job, "")
    assert lab.ssh("alice@login", "cat where").stdout == "c1\n"
