"""What is shown beside a join string."""

from __future__ import annotations

import ssl

import pytest

from offload.deploy.remote.invite import instructions
from offload.deploy.security.invitation import Invitation

AUTHORITY = ssl.DER_cert_to_PEM_cert(b"a certificate")


def by_ssh(address: str) -> str:
    invitation = Invitation("hpc", (address,), AUTHORITY, "token", "grant", "alice@c2", None)
    (line,) = (line for line in instructions(invitation) if line.startswith("offload join --ssh"))
    return line.split(" <<")[0]


def test_the_way_to_a_job_is_through_the_machine_it_was_submitted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_SUBMIT_HOST", "PBS_O_HOST", "SGE_O_HOST", "LSB_SUB_HOST"):
        monkeypatch.delenv(name, raising=False)
    assert by_ssh("https://10.0.0.2:8787") == "offload join --ssh alice@c2"
    monkeypatch.setenv("SLURM_SUBMIT_HOST", "login")
    assert by_ssh("https://10.0.0.2:8787") == "offload join --ssh alice@login"
    assert by_ssh("https://127.0.0.1:8787") == "offload join --ssh alice@c2"  # only the node itself gets there
