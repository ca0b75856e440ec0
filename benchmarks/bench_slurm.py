"""A deployment on a Slurm cluster: to its first worker and its first result; how often Slurm is asked.

The cluster is a real Slurm on hosts of the test lab (`tests/lab`, as root on Linux): a login node and two nodes, on
this machine's processors. On the login node, `offload up slurm://` and a process that waits for a worker and gets a
result, against a script that does so with dask-jobqueue's `SLURMCluster`; jobs, workers and threads are the same. Slurm
is set to schedule a job as soon as it is submitted, so that the figures are the tools' own. offload starts a head that
outlives the script, with TLS and storage; `SLURMCluster` lives in the script. Both sides end all jobs after the clock
has stopped.

Many workers are submitted as one array; the time until Slurm has taken the jobs of 100 is compared with that of a
request for each, by the same part of the head.

How often Slurm is asked is counted by Slurm itself (`sdiag`), for a minute in which 200 jobs wait and run.
"""

from __future__ import annotations

import re
import sys
import time

from benchmarks.harness import PATIENCE, BenchmarkError, Context, Row, Sample, interleave
from tests.lab.lab import Lab
from tests.lab.slurm import Slurm

VENV = "/shared/venv/bin"
WORKERS, MANY, AT_ONCE = 2, 200, 100
OURS = """
import time, offload
with offload.client("slurm") as client:
    client.wait_for_workers(1, timeout=300)
    first = time.time()
    assert client.submit(sum, [1, 2]).result(timeout=300) == 3
    print(first, time.time())
"""
THEIRS = """
import time
from dask_jobqueue import SLURMCluster
from distributed import Client
if __name__ == "__main__":
    options = {{"interface": {interface!r}}}  # of the network that the nodes are on
    with SLURMCluster(cores=1, memory="500MB", walltime="00:20:00", scheduler_options=options) as cluster:
        cluster.scale(jobs={workers})
        with Client(cluster) as client:
            client.wait_for_workers(1, timeout=300)
            first = time.time()
            assert client.submit(sum, [1, 2]).result(timeout=300) == 3
            print(first, time.time())
"""
SUBMIT = """
import asyncio, sys, tempfile, time
from offload.registry.deployments import Place
from offload.batch import JobRequest, batch_system
from offload.deploy.workers.batch_queue import Queue

system = batch_system("slurm")
if sys.argv[1] == "single":
    type(system).lacks = {"array": ""}

def request(name):
    return JobRequest(f"offload.bench.{name}", ("sleep", "60"), memory=100 << 20, walltime=1200, queue="closed")

async def main(path):
    queue = Queue(Place(path), system, request, lambda line: None)
    jobs = [queue.make(f"worker-{number}") for number in range(int(sys.argv[2]))]
    began = time.time()
    for job in jobs:
        job.start()
    while not all(job.id for job in jobs):
        await asyncio.sleep(0.01)
    print(time.time() - began)
    await asyncio.gather(*(job.end() for job in jobs))
    await queue.close()

with tempfile.TemporaryDirectory() as path:
    asyncio.run(main(path))
"""


def measure(context: Context) -> list[Row]:
    lab = Lab.up()
    try:
        assert lab.offload_venv
        slurm = Slurm.up(lab)
        return [*_first(context, slurm), _submissions(context, slurm), _questions(context, slurm)]
    finally:
        lab.down()


def _run(slurm: Slurm, command: str | list[str]) -> str:
    done = slurm.login.exec(command, user="alice", timeout=PATIENCE, check=False)
    if done.returncode:
        raise BenchmarkError(f"{command}: {done.stderr[-1000:]}")
    return done.stdout


def _up(slurm: Slurm, workers: int) -> str:
    return _run(slurm, f"{VENV}/offload up slurm:// --cores 1 --memory 100MB --walltime 20m --workers {workers}")


def _first(context: Context, slurm: Slurm) -> list[Row]:
    interface = _run(slurm, "ip -o -4 addr show | awk '{print $2}' | tail -n 1").strip()
    took: dict[str, list[float]] = {"ours": [], "theirs": []}

    def timed(side: str, script: str, before: str = "") -> float:
        began = time.time()
        if before:
            _run(slurm, before)
        first, result = map(float, _run(slurm, [f"{VENV}/python", "-c", script]).split())
        took[side].append(first - began)
        return result - began

    def ours() -> float:
        words = f"--cores 1 --memory 500MB --walltime 20m --workers {WORKERS}"
        try:
            return timed("ours", OURS, f"{VENV}/offload up slurm:// {words}")
        finally:
            _run(slurm, f"{VENV}/offload down slurm")

    def theirs() -> float:
        try:
            return timed("theirs", THEIRS.format(interface=interface, workers=WORKERS))
        finally:
            _run(slurm, 'scancel --user alice; while [ -n "$(squeue -h -u alice)" ]; do sleep 0.2; done')

    rounds, warm_ups = context.pick(5, 3, 1), 0 if context.size == "smoke" else 1
    samples = interleave({"ours": ours, "theirs": theirs}, rounds, warm_ups)
    kept = {side: Sample(tuple(times[warm_ups:])) for side, times in took.items()}
    command = "offload up slurm:// --workers 2 && python -c 'offload.client().wait_for_workers(1)'"
    peer = "dask-jobqueue `SLURMCluster`, scale(jobs=2)"
    note = "a head that outlives the script, TLS, storage and job service on our side only"
    return [
        Row("Slurm: nothing -> first worker", command, kept["ours"], peer, kept["theirs"], note=note),
        Row("Slurm: nothing -> first result", command, samples["ours"], peer, samples["theirs"], note=note),
    ]


def _submissions(context: Context, slurm: Slurm) -> Row:
    """How long it takes until Slurm has taken the jobs of many workers."""
    many = context.pick(AT_ONCE, AT_ONCE, 4)

    def submitted(how: str) -> float:
        return float(_run(slurm, [f"{VENV}/python", "-c", SUBMIT, how, str(many)]))

    rounds, warm_ups = context.pick(5, 3, 1), 0 if context.size == "smoke" else 1
    measured = {"ours": lambda: submitted("array"), "theirs": lambda: submitted("single")}
    samples = interleave(measured, rounds, warm_ups)
    return Row(
        f"Slurm: {many} workers -> all submitted",
        f"offload up slurm:// --workers {many}",
        samples["ours"],
        "one `sbatch` for each of them",
        samples["theirs"],
        note="one job array; until Slurm has taken all, whether or not there is room for them",
    )


def _questions(context: Context, slurm: Slurm) -> Row:
    """How many seconds lie between two questions to Slurm while 200 jobs wait or run."""
    many, seconds = context.pick(MANY, MANY, 4), context.pick(60, 60, 10)
    _up(slurm, many)
    try:
        deadline = time.monotonic() + PATIENCE
        while (there := len(slurm.run("squeue -h -r -u alice -o %i").split())) < many:  # each of an array
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{there} jobs after {PATIENCE:g} s, not {many}")
            time.sleep(1)
        time.sleep(context.pick(70, 70, 0))  # just after a submission it is asked more often
        slurm.login.exec("sdiag --reset")
        time.sleep(seconds)
        said = slurm.login.exec("sdiag").stdout
    finally:
        _run(slurm, f"{VENV}/offload down slurm")
    by_user = said.partition("statistics by user")[2]
    found = re.search(r"alice\s*\(\s*\d+\)\s*count:(\d+)", by_user)
    count = int(found[1]) if found else 0
    return Row(
        f"Slurm: time between two questions, with {many} jobs",
        "sdiag --reset; sleep 60; sdiag",
        Sample((seconds / max(1, count),)),
        note=f"{count} in {seconds} s, each about all jobs of the deployment; SLURMCluster never asks, and does not "
        "know how its jobs are",
    )


if __name__ == "__main__":
    sys.exit("run it with: python benchmarks/run.py --only slurm")
