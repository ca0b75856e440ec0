"""``offload doctor`` of clusters: a real Slurm and a real Grid Engine, behind a login node."""

from __future__ import annotations

import json

import pytest

from tests.deploy.doctor.test_elsewhere import examine, failures
from tests.lab.sge import Sge
from tests.lab.slurm import Slurm

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

OFFLOAD = "/shared/venv/bin/offload"
LOGIN = "slurm://alice@login"


def test_a_cluster_from_a_laptop(slurm: Slurm) -> None:
    found = examine(slurm.lab, LOGIN, "--walltime", "20m", "--memory", "500MB", "--trial", code=0)
    assert "slurm" in found["Slurm"]["found"]
    assert "main (default): no limit of time, 2 nodes of 4 cores" in found["partitions"]["found"]
    assert "short: up to 5:00" in found["partitions"]["found"]
    assert "closed: closed" in found["partitions"]["found"]
    assert "would start" in found["request"]["found"]
    assert "ran on c" in found["nodes"]["found"]
    assert "reaches this machine at " in found["way back"]["found"]
    assert found["way back"]["where"] == "ssh://alice@login"
    assert slurm.jobs() == []
    left = slurm.login.exec("ls -A ~/.local/share/offload", user="alice", check=False).stdout
    assert "doctor" not in left


@pytest.mark.parametrize(
    ("words", "check", "said"),
    [
        (["--partition", "nowhere"], "partitions", "there is no nowhere"),
        (["--partition", "closed"], "partitions", "closed runs no jobs now"),
        (["--cores", "64"], "request", "Requested node configuration is not available"),
        (["--partition", "short", "--walltime", "2h"], "partitions", "02:00:00 would wait for ever"),
    ],
)
def test_what_a_cluster_will_not_do(slurm: Slurm, words: list[str], check: str, said: str) -> None:
    found = examine(slurm.lab, LOGIN, *words, code=1)
    assert check in failures(found)
    assert said in found[check]["found"]


def test_nodes_that_do_not_see_the_home(slurm: Slurm) -> None:
    assert slurm.lab.offload_venv
    command = f"OFFLOAD_HOME=/var/tmp/mine {OFFLOAD} doctor slurm:// --trial --json"
    done = slurm.login.exec(command, user="alice", timeout=120, check=False)
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert (done.returncode, failures(found)) == (1, {"nodes"}), done.stderr
    assert "the nodes do not see that directory" in found["nodes"]["found"]
    assert "OFFLOAD_HOME" in found["nodes"]["hint"]


def test_a_login_node_that_nodes_do_not_reach(slurm: Slurm) -> None:
    assert slurm.lab.offload_venv
    slurm.login.drop(61001)
    command = f"{OFFLOAD} doctor slurm:// --trial --json --ports 61001-61001"
    done = slurm.login.exec(command, user="alice", timeout=120, check=False)
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert (done.returncode, failures(found)) == (1, {"way back"}), done.stderr
    assert ":61001 from c" in found["way back"]["found"]


def test_a_trial_that_does_not_start_is_taken_back(slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm.run("sbatch --exclusive -N 2 --wrap 'sleep 600'")
    assert slurm.lab.offload_venv
    program = (
        "import offload.doctor.cluster as c; c.START_SECONDS = 3; from offload.cli.main import main; "
        "import sys; sys.argv[1:] = ['doctor', 'slurm://', '--trial', '--json']; sys.exit(main())"
    )
    done = slurm.login.exec(["/shared/venv/bin/python", "-c", program], user="alice", timeout=120, check=False)
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 0, done.stderr
    assert "did not start: Resources" in found["trial"]["found"]
    assert len(slurm.jobs()) == 1


def test_grid_engine(sge: Sge) -> None:
    found = examine(sge.lab, "sge://alice@login", "--trial", code=0)
    assert "which answers" in found["Grid Engine"]["found"]
    assert "ran on c" in found["nodes"]["found"]
    assert found["way back"]["outcome"] == "pass"


def test_a_machine_that_is_no_login_node(slurm: Slurm) -> None:
    found = examine(slurm.lab, "lsf://alice@login", code=1)
    assert "there is no " in found["LSF"]["found"]
