"""Calls from another machine whose environment the nodes of a Slurm cluster lack: it is made once for all of them."""

from __future__ import annotations

import pytest

from tests.deploy.remote.test_environments_of_calls import environment, made, program, told
from tests.deploy.test_slurm import JOBS, Cluster
from tests.lab.slurm import Slurm

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def test_nodes_that_share_a_home_share_what_is_made(slurm: Slurm) -> None:
    cluster, lab = Cluster(slurm), slurm.lab
    ones = environment(lab, "ones", "1.5")
    cluster.up("--workers", "2", *JOBS)
    cluster.wait_for_workers(2)
    out, err = told(program(lab, ones, "10", OFFLOAD_DEPLOYMENT="login"))
    assert [out.removesuffix(" True")] == made(lab, "c1")
    assert err.count("making an environment of") == 1
    assert "the environment is there" in err
