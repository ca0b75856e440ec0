"""A deployment on a real Grid Engine: the head on the login node, workers as jobs."""

from __future__ import annotations

import json

import pytest

from tests.deploy.remote.conftest import PYTHON, wait_for
from tests.lab.sge import Sge

pytestmark = pytest.mark.real


def test_workers_as_jobs_from_a_laptop(sge: Sge) -> None:
    lab = sge.lab
    assert lab.offload_venv
    words = ["--cores", "1", "--walltime", "20m", "--workers", "2"]
    up = lab.offload("up", "sge://alice@login", *PYTHON, *words, timeout=150)
    assert up.returncode == 0, up.stderr

    def workers() -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(lab.offload("status", "login", "--json").stdout)["workers"]
        return found

    wait_for(lambda: [w["state"] for w in workers()] == ["connected"] * 2, "two workers", 120)
    done = lab.offload("run", "--on", "login", "hostname")
    assert done.stdout.strip() in {"c1", "c2"}, done.stderr
    sge.run(f"qdel {workers()[0]['job']}")
    wait_for(lambda: len({w["job"] for w in workers() if w["state"] == "connected"}) == 2, "another one", 120)
    down = lab.offload("down", "login", timeout=150)
    assert down.returncode == 0, down.stderr
    assert sge.run("qstat") == ""
