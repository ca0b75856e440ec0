"""A login node in two networks: clients come from one, and the nodes, in the other, do not reach the first."""

from __future__ import annotations

import json

import pytest

from tests.deploy.remote.conftest import wait_for
from tests.deploy.test_slurm import JOBS, OFFLOAD, Cluster
from tests.lab.slurm import Slurm

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

FRONT, BACK = "10.77.0.10", "10.78.0.10"
"""The login node's addresses: for the laptop, and for the nodes."""


@pytest.fixture
def cluster(slurm: Slurm) -> Cluster:
    return Cluster(slurm)


def test_direct_from_a_laptop(cluster: Cluster) -> None:
    said = cluster.up(*JOBS, "--route", "direct", "--ports", "60001-60100", "--workers", "2")
    assert f"workers reach it at {BACK}" in said
    cluster.wait_for_workers(2)
    contact = json.loads((cluster.lab.home / ".local/share/offload/deployments/login/contact.json").read_text())
    assert contact["jobs"].startswith(f"https://{FRONT}:")
    assert cluster.hosts() <= {"c1", "c2"}
    cluster.down()


def test_every_address_of_the_login_node(cluster: Cluster) -> None:
    up = f"{OFFLOAD} up slurm:// {' '.join(JOBS)} --host 0.0.0.0 --contact {FRONT} --workers 1"
    cluster.slurm.login.exec(up, user="alice", timeout=120)
    ran = cluster.slurm.run(f"{OFFLOAD} run --on slurm hostname", timeout=90)
    assert ran in {"c1", "c2"}
    place = "/home/alice/.local/share/offload/deployments/slurm"
    assert json.loads(cluster.slurm.login.read(f"{place}/contact.json"))["scheduler"].startswith(f"tls://{FRONT}:")
    cluster.slurm.run(f"{OFFLOAD} down slurm", timeout=60)
    assert cluster.slurm.jobs() == []


def test_an_address_that_nodes_do_not_reach_is_named(cluster: Cluster) -> None:
    up = f"{OFFLOAD} up slurm:// {' '.join(JOBS)} --host {FRONT} --workers 1"
    cluster.slurm.login.exec(up, user="alice", timeout=120)

    def told() -> str:
        return cluster.slurm.run(f"{OFFLOAD} status slurm", timeout=60)

    wait_for(lambda: f"yet at tls://{FRONT}:" in told(), "the address in offload status", 90)
    assert "--workers-host" in told()
    cluster.slurm.run(f"{OFFLOAD} down slurm", timeout=60)
    again = f"{up} --workers-host {BACK}"
    cluster.slurm.login.exec(again, user="alice", timeout=120)
    assert cluster.slurm.run(f"{OFFLOAD} run --on slurm hostname", timeout=90) in {"c1", "c2"}
    cluster.slurm.run(f"{OFFLOAD} down slurm", timeout=60)
    assert cluster.slurm.jobs() == []


@pytest.mark.parametrize(
    ("words", "address"),
    [("--host 0.0.0.0", BACK), (f"--host 0.0.0.0 --workers-host {BACK}", BACK), ("", BACK)],
)
def test_the_doctors_trial_goes_to_the_address_of_the_nodes(cluster: Cluster, words: str, address: str) -> None:
    told = cluster.slurm.run(f"{OFFLOAD} doctor slurm:// --trial {words}", timeout=150)
    assert f"reaches this machine at {address}:" in told, told
