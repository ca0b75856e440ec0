"""Deployments on a real Slurm: heads on the login node or as jobs, workers beside them or as jobs of their own."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.remote.conftest import PYTHON, Mapping, wait_for
from tests.lab.slurm import Slurm

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

JOBS = ["--cores", "1", "--memory", "500MB", "--walltime", "20m"]
HEAD = ["--keep", "slurm", "--head-cores", "1", "--head-memory", "1GB", "--head-walltime", "20m"]
OFFLOAD = "/shared/venv/bin/offload"
GROUPS = """
[deployment.login]
site = "ssh://alice@login"
[deployment.login.workers]
provider = "slurm"
cores = 1
memory = "500MB"
walltime = "20m"
count = 1
directives = ["--nodelist=c1"]
[deployment.login.groups.big]
directives = ["--nodelist=c2"]
minimum = 0
maximum = 1
resources = { big = 1 }
"""


class Cluster:
    """A cluster with a deployment on it, as it is used from the laptop or on the login node."""

    def __init__(self, slurm: Slurm) -> None:
        self.slurm, self.lab = slurm, slurm.lab
        assert self.lab.offload_venv

    def up(self, *words: str, **options: Any) -> str:
        """Bring a deployment up from the laptop."""
        done = self.lab.offload("up", "slurm://alice@login", *PYTHON, *words, timeout=150, **options)
        assert done.returncode == 0, done.stderr
        return str(done.stderr)

    def workers(self) -> list[dict[str, Any]]:
        status = json.loads(self.lab.offload("status", "login", "--json").stdout)
        found: list[dict[str, Any]] = status["workers"]
        return found

    def wait_for_workers(self, count: int, state: str = "connected") -> None:
        wait_for(lambda: [w["state"] for w in self.workers()].count(state) == count, f"{count} workers {state}", 90)

    def hosts(self, count: int = 8) -> set[str]:
        """Where commands run."""
        words = ["--each", "-", "--", "sh", "-c", "hostname; : {}"]
        lines = "".join(f"{number}-{time.time()}\n" for number in range(count))
        done = self.lab.offload("run", "--on", "login", *words, input=lines, timeout=120)
        assert done.returncode == 0, done.stderr
        return set(done.stdout.split())

    def down(self) -> None:
        done = self.lab.offload("down", "login", timeout=120)
        assert done.returncode == 0, done.stderr
        assert self.slurm.jobs() == []
        for host in (self.slurm.login, *self.slurm.nodes):
            left = [p.command for p in host.processes("alice") if "offload" in p.command]
            assert left == [], f"{host}: {left}"


@pytest.fixture
def cluster(slurm: Slurm) -> Cluster:
    return Cluster(slurm)


@pytest.mark.parametrize("dynamic", [False, True], ids=["one node", "dynamic"])
@pytest.mark.parametrize("keep", [[], HEAD], ids=["login process", "batch job"])
def test_from_a_laptop_through_a_tunnel(cluster: Cluster, keep: list[str], dynamic: bool) -> None:
    workers = [*JOBS, "--minimum", "0", "--maximum", "3"] if dynamic else ["--provider", "local", "--workers", "2"]
    cluster.up(*workers, *keep)
    found = cluster.hosts()
    nodes = {host.place.name for host in cluster.slurm.nodes}
    assert found <= (nodes if dynamic or keep else {"login"}), found
    if dynamic:
        assert any(job for job in cluster.slurm.jobs())
        wait_for(lambda: len(cluster.slurm.jobs()) == len(keep[:1]), "the end of idle workers", 90)
    cluster.down()


@pytest.mark.parametrize("dynamic", [False, True], ids=["one node", "dynamic"])
@pytest.mark.parametrize("keep", [[], HEAD], ids=["login process", "batch job"])
def test_on_the_login_node_directly(cluster: Cluster, keep: list[str], dynamic: bool) -> None:
    workers = [*JOBS, "--workers", "2"] if dynamic else ["--provider", "local", "--workers", "1"]
    words = " ".join([OFFLOAD, "up", "slurm://", *workers, *keep])
    said = cluster.slurm.login.exec(words, user="alice", timeout=120)
    assert "slurm is up, after" in said.stderr
    ran = cluster.slurm.run(f"{OFFLOAD} run --on slurm hostname", timeout=90)
    assert ran in ({"c1", "c2"} if dynamic or keep else {"login"})
    assert "recalled" in cluster.slurm.login.exec(f"{OFFLOAD} run --on slurm hostname", user="alice").stderr
    cluster.slurm.run(f"{OFFLOAD} down slurm", timeout=60)
    assert cluster.slurm.jobs() == []


def test_a_cancelled_worker_and_a_crashed_node_are_replaced(cluster: Cluster) -> None:
    cluster.up(*JOBS, "--workers", "4")
    cluster.wait_for_workers(4)
    running = Mapping(cluster.lab, "login")
    worker = next(w for w in cluster.workers() if w["state"] == "connected")
    cluster.slurm.run(f"scancel {worker['job']}")
    running.end()
    done = running.done()
    assert len(done) <= 42, "what was recorded ran again"
    cluster.wait_for_workers(4)
    cluster.slurm.nodes[0].crash()
    wait_for(lambda: {w["node"] for w in cluster.workers() if w["state"] == "connected"} == {"c2"}, "c2 alone", 120)
    cluster.wait_for_workers(4)


def test_groups_of_workers_are_jobs_of_their_own(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "offload.toml").write_text(GROUPS)
    done = cluster.lab.offload("up", "login", *PYTHON, cwd=tmp_path, timeout=150)
    assert done.returncode == 0, done.stderr
    cluster.wait_for_workers(1)
    assert cluster.hosts(4) == {"c1"}
    words = ["--resources", "big=1", "--", "sh", "-c", "hostname; : special"]
    special = cluster.lab.offload("run", "--on", "login", *words, timeout=120)
    assert special.stdout == "c2\n", special.stderr
    names = set(cluster.slurm.run("squeue -h -o %j").split())
    assert {"offload.login.worker-0", "offload.login.big-0"} <= names
    wait_for(lambda: len(cluster.slurm.jobs()) == 1, "the end of the idle group", 90)
    assert "group: big: 0 workers by slurm, each big=1, 0 to 1" in cluster.lab.offload("status", "login").stdout
    cluster.down()


def test_a_request_that_is_refused_says_why(cluster: Cluster) -> None:
    cluster.up(*JOBS, "--partition", "nowhere", "--workers", "1")
    wait_for(lambda: "invalid partition specified: nowhere" in cluster.workers()[0]["reason"], "sbatch's words")
    told = cluster.lab.offload("status", "login")
    assert "invalid partition specified: nowhere" in told.stdout, told.stdout
    cluster.down()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--partition", "closed"], "PartitionDown"),
        (["--partition", "short", "--walltime", "2h"], "PartitionTimeLimit"),
        (["--cores", "64"], "PartitionConfig"),
    ],
)
def test_what_waits_says_why(cluster: Cluster, words: list[str], reason: str) -> None:
    cluster.up("--cores", "1", "--memory", "500MB", "--walltime", "20m", *words, "--workers", "1")
    wait_for(lambda: reason in cluster.workers()[0]["reason"], reason)
    (worker,) = cluster.workers()
    assert worker["state"] == "pending"
    told = cluster.lab.offload("status", "login").stdout
    line = f"worker jobs: 1 desired; 1 submitted, 1 pending (1 {worker['reason']}), 0 running, 0 connected, 0 lost\n"
    assert line in told, told
    cluster.down()


def test_a_controller_that_is_away(cluster: Cluster) -> None:
    cluster.up(*JOBS, "--workers", "2")
    cluster.wait_for_workers(2)
    cluster.slurm.stop_controller()
    assert cluster.hosts(4)  # those that run go on
    assert cluster.lab.offload("scale", "login", "3").returncode == 0
    wait_for(lambda: any("Slurm does not answer" in w["reason"] for w in cluster.workers()), "that it is told", 90)
    cluster.slurm.start_controller()
    cluster.wait_for_workers(3)
    cluster.down()


def test_preemption(cluster: Cluster) -> None:
    cluster.up(*JOBS, "--partition", "spot", "--workers", "2")
    cluster.wait_for_workers(2)
    urgent = cluster.slurm.submit("sleep 5", "--partition", "urgent", "--exclusive", "--nodes", "2", user="bob")
    cluster.slurm.wait_for_state(urgent, "COMPLETED")
    cluster.wait_for_workers(2)
    cluster.down()


def test_workers_go_before_their_walltime_and_others_come(cluster: Cluster) -> None:
    cluster.up("--cores", "1", "--memory", "500MB", "--walltime", "1m", "--workers", "1")
    cluster.wait_for_workers(1)
    first = cluster.workers()[0]["job"]
    wait_for(lambda: any(w["job"] != first and w["state"] == "connected" for w in cluster.workers()), "another one", 90)
    assert cluster.hosts(2)
    cluster.down()


def test_a_head_that_is_cancelled_is_brought_up_by_who_needs_it(cluster: Cluster) -> None:
    cluster.up(*JOBS, *HEAD, "--workers", "2")
    cluster.wait_for_workers(2)
    running = Mapping(cluster.lab, "login")
    (head,) = (job for job in cluster.slurm.jobs() if "head" in cluster.slurm.run(f"squeue -h -j {job} -o %j"))
    cluster.slurm.run(f"scancel {head}")
    running.end(200)
    cluster.down()


def test_a_head_that_is_cancelled_while_it_is_brought_up_again(cluster: Cluster) -> None:
    """Two heads in a row end: whoever waits has a third one brought up, and is told why in one line."""
    cluster.up(*JOBS, *HEAD, "--workers", "2")
    cluster.wait_for_workers(2)
    running = Mapping(cluster.lab, "login")

    def heads() -> list[int]:
        return [job for job in cluster.slurm.jobs() if "head" in cluster.slurm.run(f"squeue -h -j {job} -o %j")]

    (first,) = heads()
    cluster.slurm.run(f"scancel {first}")
    wait_for(lambda: [job for job in heads() if job != first], "the next head", 120)
    (second,) = [job for job in heads() if job != first]
    cluster.slurm.run(f"scancel {second}")
    said = running.end(280)
    assert "Traceback" not in said
    assert "its head has died" in said, said
    cluster.down()


def test_a_head_hands_over_before_its_walltime(cluster: Cluster) -> None:
    cluster.up(*JOBS, *HEAD[:-1], "1m", "--workers", "1")
    cluster.wait_for_workers(1)
    (worker,) = (w["job"] for w in cluster.workers())
    first = json.loads(cluster.slurm.login.read("/home/alice/.local/share/offload/deployments/login/head.json"))["id"]

    def second() -> str:
        return str(
            json.loads(cluster.slurm.login.read("/home/alice/.local/share/offload/deployments/login/head.json"))["id"]
        )

    wait_for(lambda: second() != first, "another head to be submitted", 90)
    wait_for(lambda: cluster.slurm.state(int(second())) == "RUNNING", "it to run", 90)
    assert cluster.hosts(2)
    assert [w["job"] for w in cluster.workers()] == [worker]  # it has followed
    cluster.down()


def test_nothing_is_left_when_the_head_is_killed(cluster: Cluster) -> None:
    cluster.up(*JOBS, "--workers", "2")
    cluster.wait_for_workers(2)
    cluster.slurm.login.exec("pkill -9 -u alice -f offload.deploy.head")
    cluster.down()


def test_dry_run_prints_every_script(cluster: Cluster) -> None:
    words = " ".join([OFFLOAD, "up", "slurm://", *JOBS, *HEAD, "--partition", "main", "--prologue", "'module load x'"])
    told = cluster.slurm.run(f"{words} --dry-run")
    assert told.count("#SBATCH -J offload.slurm.") == 2
    assert "#SBATCH -t 00:20:00" in told and "#SBATCH -p main" in told and "\nmodule load x\n" in told
    assert cluster.slurm.jobs() == []


def test_who_waits_for_jobs_that_slurm_refuses_is_told_its_words(cluster: Cluster) -> None:
    cluster.up(*JOBS, "--workers", "1", "--directive", "--nonsense=1")
    words = [str(cluster.lab.laptop_venv / "bin/offload"), "run", "--on", "login", "--", "hostname"]
    with (cluster.lab.home / "told").open("w") as told:
        process = cluster.lab.start(words, stdout=told, stderr=told)
        try:
            wait_for(lambda: "sbatch" in (cluster.lab.home / "told").read_text(), "Slurm's words", 60)
        finally:
            process.kill()
            process.wait()
    said = (cluster.lab.home / "told").read_text()
    assert "unrecognized option '--nonsense=1'" in said, said
    cluster.down()
