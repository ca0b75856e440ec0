"""Calls and commands that are longer than the walltime of any worker, on a real Slurm."""

from __future__ import annotations

import subprocess

import pytest

from tests.deploy.remote.conftest import wait_for
from tests.deploy.test_slurm import Cluster
from tests.lab.slurm import Slurm

pytestmark = [pytest.mark.real, pytest.mark.timeout(580)]

CALL = """
import time
import offload

@offload.task(effects="ignore")
def long(seconds):
    time.sleep(seconds)

if __name__ == "__main__":
    try:
        long.submit(3000).result(500)
    except offload.OffloadError as error:
        print(type(error).__name__, error.message)
"""

HELD = """
import time
import offload
with offload.client("login") as client:
    future = client.submit(lambda: time.time(), pure=False)
    first = future.result()
    (worker,) = client.scheduler_info()["workers"].values()
    deadline = time.time() + 150
    while any(one["name"] == worker["name"] for one in client.scheduler_info()["workers"].values()):
        assert time.time() < deadline
        time.sleep(1)
    assert future.result() == first, "it was computed again"
    print("handed over")
"""


def test_what_no_worker_can_finish_fails_and_says_why(slurm: Slurm) -> None:
    cluster = Cluster(slurm)
    cluster.up("--cores", "1", "--memory", "500MB", "--walltime", "1m", "--workers", "2")
    cluster.wait_for_workers(2)
    (cluster.lab.home / "call.py").write_text(CALL)
    pipe = subprocess.PIPE
    words, env = [str(cluster.lab.laptop_venv / "bin/python"), "call.py"], {"OFFLOAD_DEPLOYMENT": "login"}
    call = cluster.lab.start(words, env=env, stdout=pipe, stderr=pipe, text=True)
    words = [str(cluster.lab.laptop_venv / "bin/offload"), "run", "--on", "login", "--", "sleep", "3000"]
    command = cluster.lab.start(words, stdout=pipe, stderr=pipe, text=True)
    wait_for(lambda: "walltime of its worker" in cluster.lab.offload("status", "login").stdout, "that it is told", 200)
    out, err = call.communicate(timeout=400)
    assert out.startswith("WalltimeError it ran for"), out + err
    _, err = command.communicate(timeout=400)
    assert command.returncode != 0 and "until the walltime of its worker" in err, err
    assert cluster.hosts(2)
    cluster.down()


def test_what_the_only_worker_holds_goes_to_the_next_one(slurm: Slurm) -> None:
    cluster = Cluster(slurm)
    cluster.up("--cores", "1", "--memory", "500MB", "--walltime", "1m", "--workers", "1")
    cluster.wait_for_workers(1)
    (cluster.lab.home / "held.py").write_text(HELD)
    words = [str(cluster.lab.laptop_venv / "bin/python"), "held.py"]
    process = cluster.lab.start(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = process.communicate(timeout=300)
    assert out == "handed over\n", err
    cluster.down()
