"""Workers on the nodes of one allocation, on a real Slurm."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deploy.remote.conftest import Mapping, wait_for
from tests.deploy.test_slurm import HEAD, JOBS, Cluster
from tests.lab.slurm import Slurm

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]


@pytest.fixture
def cluster(slurm: Slurm) -> Cluster:
    return Cluster(slurm)


def connected(cluster: Cluster) -> list[dict[str, Any]]:
    return [worker for worker in cluster.workers() if worker["state"] == "connected"]


def test_a_number_of_workers_two_by_two(cluster: Cluster) -> None:
    said = cluster.up(*JOBS, "--nodes", "2", "--workers", "3")
    assert "each job has 2 nodes with a worker each: 3 are rounded up to 4" in said
    cluster.wait_for_workers(4)
    assert {(worker["name"], worker["node"]) for worker in connected(cluster)} == {
        ("worker-0.0", "c1"), ("worker-0.1", "c2"), ("worker-1.0", "c1"), ("worker-1.1", "c2"),
    }  # fmt: skip
    assert len({worker["job"] for worker in connected(cluster)}) == len(cluster.slurm.jobs()) == 2
    told = cluster.lab.offload("status", "login").stdout
    assert "worker jobs: 3 desired (4 in whole allocations); 4 submitted, 0 pending, 4 running, 4 connected" in told
    assert f"job {connected(cluster)[1]['job']} on c2" in told
    assert cluster.hosts() == {"c1", "c2"}
    said = cluster.lab.offload("logs", "login", "--worker", "worker-1.1").stdout
    assert "worker-1.1 works for" in said, said
    # One of them is killed, and all else goes on until another allocation takes their place.
    running = Mapping(cluster.lab, "login")
    cluster.slurm.nodes[1].exec("pkill -9 -f offload.deploy.workers.process.*worker-0.1")
    wait_for(lambda: any(worker["state"] == "lost" for worker in cluster.workers()), "that it is told", 90)
    wait_for(lambda: "worker-2.1" in {worker["name"] for worker in connected(cluster)}, "another allocation", 90)
    running.end()
    cluster.wait_for_workers(4)
    assert cluster.lab.offload("scale", "login", "2").returncode == 0
    wait_for(lambda: len(cluster.slurm.jobs()) == 1 and len(cluster.workers()) == 2, "the end of one allocation", 90)
    cluster.down()


def test_a_number_that_follows_the_work_and_ends_in_time(cluster: Cluster) -> None:
    words = ["--cores", "1", "--memory", "500MB", "--walltime", "1m"]
    cluster.up(*words, "--nodes", "2", "--minimum", "0", "--maximum", "3")
    assert cluster.workers() == []
    running = Mapping(cluster.lab, "login")
    assert len(cluster.workers()) in (2, 4)
    first = {worker["job"] for worker in cluster.workers()}
    # In batches of calls; what the walltime ends is run again.
    running.end()
    assert cluster.hosts() <= {"c1", "c2"}
    wait_for(lambda: not first & {str(job) for job in cluster.slurm.jobs()}, "the end of the first", 90)
    wait_for(lambda: cluster.workers() == [], "the end of idle allocations", 90)
    assert cluster.slurm.jobs() == []
    cluster.down()


def test_a_node_that_crashes_leaves_the_others_at_work(cluster: Cluster) -> None:
    cluster.up(*JOBS, "--nodes", "2", "--workers", "2")
    cluster.wait_for_workers(2)
    first = cluster.workers()[0]["job"]
    running = Mapping(cluster.lab, "login")
    cluster.slurm.nodes[1].crash()
    running.end()
    wait_for(lambda: any(worker["state"] == "pending" for worker in cluster.workers()), "another allocation", 120)
    cluster.slurm.boot(cluster.slurm.nodes[1])
    wait_for(lambda: {worker["node"] for worker in connected(cluster)} == {"c1", "c2"}, "both nodes", 120)
    assert first not in {worker["job"] for worker in cluster.workers()}
    cluster.down()


def test_head_and_workers_in_one_job_on_two_nodes(cluster: Cluster) -> None:
    cluster.up(*HEAD, "--head-nodes", "2", "--provider", "local", "--workers", "4")
    cluster.wait_for_workers(4)
    assert len(cluster.slurm.jobs()) == 1
    assert [worker["node"] for worker in connected(cluster)] == ["c1", "c2", "c1", "c2"]
    assert cluster.hosts() == {"c1", "c2"}
    running = Mapping(cluster.lab, "login")
    cluster.slurm.nodes[1].exec("pkill -9 -f offload.deploy.workers.process.*worker-1")
    running.end()
    cluster.wait_for_workers(4)
    assert cluster.lab.offload("scale", "login", "1").returncode == 0
    wait_for(lambda: len(cluster.workers()) == 1, "one worker", 90)
    cluster.down()
