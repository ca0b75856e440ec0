"""Many workers at once are one array of a real Slurm, and then each a job of its own."""

from __future__ import annotations

import pytest

from tests.deploy.remote.conftest import wait_for
from tests.deploy.test_slurm import JOBS, OFFLOAD, Cluster
from tests.lab.slurm import Slurm

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]


def test_many_workers_are_one_array(slurm: Slurm) -> None:
    cluster = Cluster(slurm)
    cluster.up(*JOBS, "--workers", "20")
    wait_for(lambda: all(worker["job"] for worker in cluster.workers()), "their submission")
    (array,) = set(slurm.run("squeue -h -u alice -o %F").split())
    jobs = {worker["name"]: worker["job"] for worker in cluster.workers()}
    assert jobs == {f"worker-{number}": f"{array}_{number}" for number in range(20)}
    cluster.wait_for_workers(8)  # as many as there are processors
    told = cluster.lab.offload("status", "login").stdout
    assert "worker jobs: 20 desired; 20 submitted, 12 pending (" in told, told
    said = cluster.lab.offload("logs", "login", "--worker", "worker-1").stdout
    assert "worker-1 works for" in said, said
    # One is cancelled, and comes again as a job of its own.
    slurm.run(f"scancel {array}_1")
    wait_for(lambda: [w["job"] for w in cluster.workers() if w["name"] == "worker-1"] != [f"{array}_1"], "its end", 90)
    wait_for(lambda: any(w["name"] == "worker-1" and w["job"] for w in cluster.workers()), "it to come again", 90)
    # A head that comes back knows them.
    slurm.login.exec("pkill -9 -u alice -f offload.deploy.head")
    slurm.run(f"{OFFLOAD} up login", timeout=90)
    cluster.wait_for_workers(8)
    after = {worker["name"]: worker["job"] for worker in cluster.workers()}
    assert {name for name in jobs if after[name] != jobs[name]} == {"worker-1"}
    assert cluster.lab.offload("scale", "login", "2").returncode == 0
    wait_for(lambda: len(cluster.workers()) == 2, "the others to go", 90)
    cluster.wait_for_workers(2)
    cluster.down()
