"""The Slurm cluster of the lab does what real ones do."""

from __future__ import annotations

import pytest

from tests.lab.lab import Lab
from tests.lab.slurm import Slurm

pytestmark = pytest.mark.real


def test_jobs_run_on_the_nodes_as_their_user(lab: Lab, slurm: Slurm) -> None:
    done = lab.ssh("alice@login", "cd ~ && timeout 30 srun -N2 sh -c 'hostname; whoami; pwd' | sort")
    assert done.stdout.split() == ["/home/alice", "/home/alice", "alice", "alice", "c1", "c2"]
    job = slurm.submit("echo $SLURM_JOB_ID > result", user="bob")
    slurm.wait_for_state(job, "COMPLETED")
    assert lab.ssh("bob@c1", "cat result").stdout == f"{job}\n"  # one home


def test_partitions_differ(slurm: Slurm) -> None:
    long, closed = slurm.submit("sleep 100", "-p", "short", "-t", "10"), slurm.submit("sleep 100", "-p", "closed")
    slurm.wait_for_reason(long, "PartitionTimeLimit")
    slurm.wait_for_reason(closed, "PartitionDown")
    assert sorted(slurm.jobs()) == [long, closed]


def test_urgent_jobs_drive_spot_jobs_out(slurm: Slurm) -> None:
    spot = slurm.submit("sleep 100", "-p", "spot", "-N2", "--exclusive", "--requeue")
    slurm.wait_for_state(spot, "RUNNING")
    urgent = slurm.submit("sleep 100", "-p", "urgent", "-N2", "--exclusive")
    slurm.wait_for_state(urgent, "RUNNING")
    slurm.wait_for_state(spot, "PENDING")


def test_jobs_outlive_their_controller(slurm: Slurm) -> None:
    job = slurm.submit("sleep 100")
    slurm.wait_for_state(job, "RUNNING")
    slurm.stop_controller()
    assert "Unable to contact slurm controller" in slurm.login.exec("squeue", check=False, timeout=60).stderr
    slurm.start_controller()
    assert slurm.wait_for_state(job, "RUNNING", "COMPLETING") == "RUNNING"


def test_a_crashed_node_comes_back(lab: Lab, slurm: Slurm) -> None:
    job = slurm.submit("sleep 100", "-w", "c1", "--no-requeue")
    slurm.wait_for_state(job, "RUNNING")
    assert slurm.node_of(job) == "c1"
    node = lab.host("c1")
    node.crash()
    slurm.boot(node)
    slurm.wait_for_state(job, "NODE_FAIL", "", within=90)
    slurm.wait_for_nodes()
    assert slurm.node_state("c1") == "idle"
    again = slurm.submit("hostname > where", "-w", "c1")
    slurm.wait_for_state(again, "COMPLETED")
    assert lab.ssh("alice@login", "cat where").stdout == "c1\n"
