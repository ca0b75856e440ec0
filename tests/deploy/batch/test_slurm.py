"""What only Slurm does, on the lab's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from offload.batch import BatchAwayError, End, JobRequest, Phase, RefusedError, batch_system
from offload.batch.slurm import Slurm, _state
from offload.hosts.base import Done
from tests.deploy.batch.clusters import Cluster, cluster_of
from tests.deploy.sites.reaching import ssh_of
from tests.lab import variants
from tests.lab.lab import Lab


@pytest.fixture(scope="module")
def cluster_of_module(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with cluster_of("slurm", request) as cluster:
        yield cluster


@pytest.fixture
def cluster(cluster_of_module: Cluster) -> Iterator[Cluster]:
    yield cluster_of_module
    cluster_of_module.clean()


@pytest.mark.real
def test_an_array_is_one_submission_of_many_jobs(cluster: Cluster) -> None:
    request = cluster.request("offload-array", "sh", "-c", 'echo "$0"; sleep 100', "w-%PART%", array=3)
    job = cluster.system.submit(cluster.system.script(request))
    parts = cluster.system.parts(job, request)
    assert parts == [f"{job}_0", f"{job}_1", f"{job}_2"]
    for part in parts:
        cluster.wait(part, Phase.RUNNING)
    cluster.system.cancel(parts[:1])
    assert cluster.wait(parts[0], Phase.ENDED).end is End.CANCELLED
    assert cluster.wait(parts[2], Phase.RUNNING).nodes in cluster.nodes
    assert set(cluster.system.mine("offload-array")) == set(parts[1:])
    assert cluster.read("offload-array-2") == "w-2\n"
    later = dataclasses.replace(request, name="offload-later", array=2, first=7)
    parts = cluster.system.parts(cluster.system.submit(cluster.system.script(later)), later)
    assert [cluster.system.part(part) for part in parts] == [7, 8]
    assert set(cluster.system.mine("offload-later")) == set(parts)
    cluster.system.cancel(parts)


@pytest.mark.real
def test_an_allocation_of_several_nodes_runs_the_command_on_each(cluster: Cluster) -> None:
    command = ("sh", "-c", 'test -d "$TMPDIR" && echo "$0 $(hostname)"; sleep 3', "it's w %PART%")
    job = cluster.submit("offload-nodes", *command, nodes=2, cores=2, scratch="/tmp/of-nodes")
    assert cluster.wait(job, Phase.RUNNING).nodes == "c[1-2]"
    assert cluster.wait(job, Phase.ENDED).end is End.COMPLETED
    lines = [cluster.read(f"offload-nodes.{number}").strip() for number in range(2)]
    assert lines == ["it's w 0 c1", "it's w 1 c2"]
    assert cluster.system.hosts("c[1-2]") == ["c1", "c2"]


@pytest.mark.real
def test_an_allocation_goes_on_without_a_node_that_fails(cluster: Cluster) -> None:
    job = cluster.submit("offload-nodes", "sleep", "100", nodes=2)
    cluster.wait(job, Phase.RUNNING)
    cluster.as_root("scontrol update NodeName=c2 State=DOWN Reason=test")
    assert cluster.wait(job, Phase.RUNNING).nodes == "c1"
    cluster.as_root("scontrol update NodeName=c2 State=IDLE")
    cluster.system.cancel([job])
    cluster.wait(job, Phase.ENDED)


@pytest.mark.real
def test_what_drives_a_job_out_is_told(cluster: Cluster) -> None:
    on = {"exclusive": True, "directives": ("--nodelist=c1",)}
    again = cluster.submit("offload-spot", "sleep", "100", queue="spot", requeue=True, **on)
    cluster.wait(again, Phase.RUNNING)
    urgent = cluster.submit("offload-urgent", "sleep", "100", queue="urgent", **on)
    cluster.wait(urgent, Phase.RUNNING)
    state = cluster.wait(again, Phase.PENDING)
    assert state.restarts == 1 and state.end is None
    cluster.system.cancel([again, urgent])
    cluster.wait(urgent, Phase.ENDED)

    never = cluster.submit("offload-spot", "sleep", "100", queue="spot", requeue=False, **on)
    cluster.wait(never, Phase.RUNNING)
    cluster.wait(cluster.submit("offload-urgent", "sleep", "100", queue="urgent", **on), Phase.RUNNING)
    assert cluster.wait(never, Phase.ENDED).end is End.PREEMPTED


@pytest.mark.real
def test_a_node_that_fails(cluster: Cluster) -> None:
    jobs = [
        cluster.submit(f"offload-{again}", "sleep", "100", requeue=again, directives=("--nodelist=c2",))
        for again in (False, True)
    ]
    for job in jobs:
        cluster.wait(job, Phase.RUNNING)
    cluster.as_root("scontrol update NodeName=c2 State=DOWN Reason=broken")
    try:
        assert cluster.wait(jobs[0], Phase.ENDED).end is End.NODE_FAILED
        assert cluster.wait(jobs[1], Phase.PENDING).restarts == 1
    finally:
        cluster.as_root("scontrol update NodeName=c2 State=IDLE")


@pytest.mark.real
def test_a_walltime_that_is_over(cluster: Cluster) -> None:
    job = cluster.submit("offload-long", "sleep", "1000", walltime=3600)
    state = cluster.wait(job, Phase.RUNNING)
    assert state.start is not None and state.finish == state.start + 3600
    cluster.as_root(f"scontrol update JobId={job} EndTime=now+1")
    assert cluster.wait(job, Phase.ENDED).end is End.TIMEOUT


@pytest.mark.real
def test_what_the_user_chose_for_the_terminal_changes_nothing(cluster: Cluster) -> None:
    cluster.site.variables = {
        "SQUEUE_PARTITION": "spot",
        "SQUEUE_FORMAT": "%i",
        "SLURM_MEM_PER_CPU": "1",
        "SBATCH_PARTITION": "closed",
        "SLURM_TIME_FORMAT": "relative",
    }
    job = cluster.submit("offload-taste", "sleep", "100", queue="main", nodes=2)
    assert cluster.wait(job, Phase.RUNNING).start is not None
    ordinary = cluster.submit("offload-taste-2", "sleep", "100")
    assert cluster.wait(ordinary, Phase.PENDING, reason="PartitionDown")  # nobody said otherwise


@pytest.mark.real
def test_the_same_over_ssh(cluster: Cluster, lab_for_module: Lab, tmp_path: Path) -> None:
    variants.login_shell(lab_for_module.host("login"), "bob", "csh")  # which has quotes of its own, and talks
    with ssh_of(lab_for_module, "ssh://bob@login", str(tmp_path / "ssh")) as site:
        site.open()
        system = batch_system("slurm", site)
        command = ("sh", "-c", 'echo "$0 $A!"; sleep 100', "it's")
        values: dict[str, Any] = {
            "walltime": 600,
            "memory": 100 << 20,
            "log": "/home/bob/over.log",
            "environment": {"A": "$x `y`"},
        }
        job = system.submit(system.script(JobRequest("offload-" + "over" * 20, command, **values)))
        assert system.mine("offload-over") == {job: "offload-" + "over" * 20}
        assert cluster.system.query([job])[job].phase is Phase.UNKNOWN  # another user's
        over = dataclasses.replace(cluster, system=system)
        over.wait(job, Phase.RUNNING)
        system.cancel([job])
        assert over.wait(job, Phase.ENDED).end is End.CANCELLED
        with pytest.raises(RefusedError, match="invalid partition specified: nope"):
            system.submit(system.script(JobRequest("offload-x", ("true",), queue="nope")))
    assert lab_for_module.host("login").read("/home/bob/over.log").startswith("it's $x `y`!\n")


def test_the_whole_script() -> None:
    request = JobRequest(
        "offload-x-0",
        ("offload", "worker", "--name", "x %PART%"),
        cores=4,
        memory=54 * 10**9,
        walltime=5400,
        log="/home/me/my logs/100%.txt",
        queue="main",
        account="lab",
        qos="high",
        constraint="a100&ib",
        gpus="a100:2",
        exclusive=True,
        array=3,
        requeue=False,
        directives=("--nodelist=n1",),
        prologue=("module load python",),
        environment={"A": "x y"},
        scratch="/scratch/$USER",
    )
    assert Slurm().script(request).split("\n") == [
        "#!/usr/bin/env bash",
        "",
        "#SBATCH -J offload-x-0",
        "#SBATCH -p main",
        "#SBATCH -A lab",
        "#SBATCH -n 1",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --mem=51G",
        "#SBATCH -t 01:30:00",
        '#SBATCH -o "/home/me/my logs/100%%-%a.txt"',
        "#SBATCH --qos=high",
        "#SBATCH --constraint=a100&ib",
        "#SBATCH --gres=gpu:a100:2",
        "#SBATCH --exclusive",
        "#SBATCH --array=0-2",
        "#SBATCH --no-requeue",
        "#SBATCH --nodelist=n1",
        "module load python",
        "export A='x y'",
        'export TMPDIR="/scratch/$USER"',
        'mkdir -p "$TMPDIR"',
        "exec offload worker --name 'x '\"${SLURM_ARRAY_TASK_ID:-0}\"",
        "",
    ]


def test_a_job_that_is_being_ended_has_no_walltime_left_to_hand_over_in() -> None:
    fields = ["0", "0", "1000", "1005", "n1", "None"]
    assert _state(["RUNNING", *fields]).finish == 1005
    assert _state(["COMPLETING", *fields]).finish is None


ACCOUNTING = """\
7|COMPLETED|0:0|1000|1010|n1|None
8|CANCELLED by 1500|0:15|1000|1010|None assigned|None
9|PREEMPTED|0:0|1000|1005|n1|None
9|FAILED|3:0|1006|1010|n2|NonZeroExitCode
10_4|NODE_FAIL|0:0|1000|Unknown|n[1-2]|NodeDown
"""


class Accounted(Slurm):
    """A controller that has forgotten all jobs, and a ``sacct`` that answers as that of Slurm 22 writes it."""

    def __init__(self, answer: Done | BatchAwayError) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[Sequence[str]] = []

    def run(self, words: Sequence[str], data: str = "", fine: str | None = None) -> Done:
        self.asked.append(words)
        if "squeue" in words:
            return Done((), 0, b"", b"")
        if isinstance(self.answer, BatchAwayError):
            raise self.answer
        return self.answer


def test_accounting_tells_what_the_controller_has_forgotten() -> None:
    """The lab has no accounting."""
    slurm = Accounted(Done((), 0, ACCOUNTING.encode(), b""))
    states = slurm.query(["7", "8", "9", "10_4", "11"])
    assert [(state.phase, state.end, state.exit_code) for state in states.values()] == [
        (Phase.ENDED, End.COMPLETED, 0),
        (Phase.ENDED, End.CANCELLED, None),
        (Phase.ENDED, End.FAILED, 3),
        (Phase.ENDED, End.NODE_FAILED, None),
        (Phase.UNKNOWN, None, None),
    ]
    assert (states["9"].nodes, states["9"].finish, states["9"].restarts, states["8"].nodes) == ("n2", 1010, 1, "")
    assert "7,8,9,10_4,11" in slurm.asked[1] and len(slurm.asked) == 2


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (Done((), 1, b"", b"Slurm accounting storage is disabled\n"), False),
        (Done((), 1, b"", b"sacct: error: something else\n"), True),
        (BatchAwayError("sacct: error: Problem talking to the database: Connection refused"), True),
    ],
)
def test_accounting_that_does_not_answer_hides_no_job_that_is_over(answer: Done | BatchAwayError, again: bool) -> None:
    slurm = Accounted(answer)
    for _ in range(2):
        assert slurm.query(["7"])["7"].is_over
    assert len(slurm.asked) == 3 + again


def test_defaults_come_from_the_configuration_of_dask(tmp_path: Path) -> None:
    import dask.config

    yaml = tmp_path / "jobqueue.yaml"
    yaml.write_text(
        "jobqueue:\n  slurm:\n    queue: regular\n    account: lab\n    cores: 24\n    memory: 54 GB\n"
        "    job-mem: 60G\n    job_directives_skip: [-A]\n"
        "    walltime: '30:00'\n    interface: ib0\n    local-directory: /scratch/$USER\n    log-directory: /logs\n"
        "    job-script-prologue: [module load x]\n    job-extra-directives: [--exclude=n9]\n"
    )
    system = batch_system("slurm")
    system.filled(JobRequest("a", ("true",)))  # the defaults of dask-jobqueue are there
    with dask.config.set(dask.config.merge(dask.config.config, *dask.config.collect_yaml([str(yaml)]))):
        filled = system.filled(JobRequest("a", ("true",)))
        assert (filled.queue, filled.account, filled.cores, filled.memory) == ("regular", "lab", 24, 54 * 10**9)
        assert (filled.walltime, filled.interface, filled.scratch) == (1800, "ib0", "/scratch/$USER")
        script = system.script(JobRequest("a", ("true",)))
        for line in ("-p regular", "--cpus-per-task=24", "--mem=60G", "-t 00:30:00", "-o /logs/a.log", "--exclude=n9"):
            assert f"#SBATCH {line}\n" in script
        assert "\nmodule load x\n" in script and "-A" not in script
        script = system.script(
            JobRequest("a", ("true",), queue="other", cores=2, memory=1 << 30, directives=(), prologue=())
        )
        for line in ("-p other", "--cpus-per-task=2", "--mem=1G", "-t 00:30:00"):
            assert f"#SBATCH {line}\n" in script
        assert "--exclude" not in script and "module" not in script
    assert "--mem" not in system.script(JobRequest("a", ("true",)))
