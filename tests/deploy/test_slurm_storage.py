"""Storage alone, as a job of a real Slurm, which several deployments on the cluster use."""

from __future__ import annotations

import pytest

from tests.deploy.remote.conftest import wait_for
from tests.deploy.test_slurm import HEAD, OFFLOAD
from tests.lab.slurm import Slurm

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

PROJECT = """
[deployment.{name}]
storage = "vault"

[deployment.{name}.workers]
provider = "slurm"
cores = 1
memory = "500MB"
walltime = "20m"
count = 1
"""


class Login:
    """What alice does on the login node."""

    def __init__(self, slurm: Slurm) -> None:
        self.slurm = slurm
        assert slurm.lab.offload_venv
        slurm.login.write("/home/alice/offload.toml", "".join(PROJECT.format(name=name) for name in ("one", "two")))

    def __call__(self, command: str) -> str:
        """Run a command of offload; what it said."""
        done = self.slurm.login.exec(f"cd; {command}", user="alice", timeout=150)
        return str(done.stdout + done.stderr)

    def sourced(self) -> str:
        """What a script finds that sources the file."""
        return self('. ./all.env; echo "$OFFLOAD_BUFFERS $OFFLOAD_DEPLOYMENT"').strip()


def test_one_storage_for_several_deployments_and_scripts(slurm: Slurm) -> None:
    login = Login(slurm)
    words = " ".join(HEAD)
    login(f"{OFFLOAD} up slurm:// --name vault --storage-only {words} --env-file all.env")
    (vault,) = slurm.jobs()
    assert slurm.node_of(vault) in ("c1", "c2")
    assert login.sourced() == "offload://vault"
    login(f"{OFFLOAD} up one --env-file all.env")
    assert login.sourced() == "offload://vault one"
    assert "recorded" in login(f". ./all.env; {OFFLOAD} run hostname")
    login(f"{OFFLOAD} up two --env-file all.env")
    assert login.sourced() == "offload://vault two"
    said = login(f". ./all.env; {OFFLOAD} run hostname")
    assert "recalled" in said and said.startswith("c"), said
    login(f"{OFFLOAD} down two")
    assert login.sourced() == "offload://vault one"
    login(f"{OFFLOAD} down one")
    assert login.sourced() == "offload://vault"
    assert slurm.jobs() == [vault]
    assert "recalled" in login(f". ./all.env; {OFFLOAD} run hostname")  # without any deployment that computes
    # The storage outlives its job.
    slurm.run(f"scancel {vault}")
    wait_for(lambda: slurm.jobs() == [], "the end of the job")
    assert "No such file" in login.sourced()
    login(f"{OFFLOAD} up vault --env-file all.env")
    assert "recalled" in login(f". ./all.env; {OFFLOAD} run hostname")
    login(f"{OFFLOAD} down vault")
    assert slurm.jobs() == []
    assert slurm.login.exec("ls /home/alice").stdout == "offload.toml\n"
