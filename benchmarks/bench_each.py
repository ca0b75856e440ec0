"""Trivial commands (300 and 10,000 in a full run) with `offload run --each`, computed and recalled, beside `xargs -P2`.

xargs records nothing, makes no scratch directory and keeps no output apart: it is the floor for starting so many
processes two at a time. The output is thrown away on both sides; the home is new for each computing round. GNU
parallel, where it is installed, keeps output apart and in order, as offload does. HyperQueue is measured where its
Python package can be imported here: its server and its worker of two cores are up already and warm, which is not
counted, and it keeps no output. Its client looks once a second whether all have ended, so it is compared by long lists
only. On a deployment (two workers, with TLS), which is up as well, all are computed anew and recorded. The last row is
the most memory that the process of `offload run` holds for so many commands beside that for a hundredth of them,
computed and recalled: it is not to grow with the list.

A tenth of xargs is out of reach for the short list: an empty Python takes two thirds of that time already, and no
command has been looked at by then. What the commands add is the difference to a single recalled one (see startup).
"""

from __future__ import annotations

import importlib.util
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import BenchmarkError, Context, Row, Sample, interleave, output, timed

TWICE, TENTH = 2.0, 0.1
NAME = "benchmark"
LONG = 1000
"""Commands from which on a list is long."""

HYPERQUEUE = """
import sys, time
from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

def seconds(client, lines):
    began = time.perf_counter()
    job = Job()
    for line in lines:
        job.program(["echo", line], stdout=None, stderr=None)
    client.wait_for_jobs([client.submit(job)])
    return time.perf_counter() - began

with LocalCluster() as cluster:
    cluster.start_worker(WorkerConfig(cores=2))
    client = cluster.client()
    seconds(client, ["warm"])
    print("seconds", seconds(client, open("list.txt").read().split()))
"""


def measure(context: Context) -> list[Row]:
    rows = []
    for count, rounds in ((context.pick(300, 300, 10), context.pick(7, 3, 1)), (context.pick(10_000, 2000, 0), 2)):
        if count:
            rows += _rows(context, count, rounds)
    rows.append(_on_a_deployment(context, context.pick(300, 300, 10)))
    return [*rows, _memory(context, context.pick(100_000, 2000, 100))]


def _rows(context: Context, count: int, rounds: int) -> list[Row]:
    here = context.directory("each")
    _write_list(here, count)
    kept, emptied = context.environ(here / "kept"), context.environ(here / "emptied")
    each = [context.offload.command("offload"), "run", "-q", "--each", "list.txt", "-j2", "--", "echo", "{}"]
    xargs = ["xargs", "-P2", "-I{}", "-a", "list.txt", "echo", "{}"]
    parallel = ["parallel", "-k", "-j2", "-a", "list.txt", "echo", "{}"]
    if sorted(output(each, kept, here).split()) != sorted(output(xargs, kept, here).split()):
        raise BenchmarkError("offload run --each gives another output than xargs")

    def compute() -> float:
        shutil.rmtree(here / "emptied", ignore_errors=True)
        return timed(each, emptied, here)

    sides: dict[str, Callable[[], float]] = {
        "xargs": lambda: timed(xargs, kept, here),
        "computed": compute,
        "recalled": lambda: timed(each, kept, here),
    }
    if shutil.which("parallel") is not None and count <= LONG:
        sides["parallel"] = lambda: timed(parallel, kept, here)
    elif count <= LONG:
        _miss("GNU parallel", "apt-get install parallel")
    if importlib.util.find_spec("hyperqueue") is not None and count > LONG:
        sides["hyperqueue"] = lambda: _seconds_of_hyperqueue(here)
    elif count > LONG:
        _miss("HyperQueue", "pip install hyperqueue")
    samples = interleave(sides, rounds, context.pick(1, 0, 0))
    command = "offload run -q --each list.txt -j2 -- echo {}"
    peer = "xargs -P2 -I{} -a list.txt echo {}"
    what = f"{count:,} trivial commands with `--each`"
    computed, recalled, floor = samples["computed"], samples["recalled"], samples["xargs"]
    rows = [
        Row(f"{what}, computed", command, computed, peer, floor, TWICE),
        Row(f"{what}, recalled", command, recalled, peer, floor, TENTH, note="xargs computes"),
    ]
    if "parallel" in samples:
        rows.append(Row(f"{what}, computed", command, computed, "parallel -k -j2", samples["parallel"]))
    if "hyperqueue" in samples:
        note = "servers already running"
        rows.append(Row(f"{what}, computed", command, computed, "HyperQueue", samples["hyperqueue"], note=note))
    return rows


def _miss(peer: str, how: str) -> None:
    print(f"{peer} IS NOT MEASURED: it is not installed here ({how})", file=sys.stderr)


def _seconds_of_hyperqueue(here: Path) -> float:
    return float(output([sys.executable, "-c", HYPERQUEUE], os.environ, here).rpartition("seconds ")[2])


def _on_a_deployment(context: Context, count: int) -> Row:
    here = context.directory("each-deployed")
    _write_list(here, count)
    environ = context.environ(here / "home")
    active = context.environ(here / "home", OFFLOAD_DEPLOYMENT=NAME)
    offload = context.offload.command("offload")
    each = [offload, "run", "-q", "--fresh", "--each", "list.txt", "--", "echo", "{}"]
    xargs = ["xargs", "-P2", "-I{}", "-a", "list.txt", "echo", "{}"]
    output([offload, "up", "--name", NAME, "--workers", "2"], environ, here)
    try:
        sides = {"xargs": lambda: timed(xargs, environ, here), "deployed": lambda: timed(each, active, here)}
        samples = interleave(sides, context.pick(5, 3, 1), 1)
    finally:
        output([offload, "down", NAME], environ, here)
    what = f"{count:,} trivial commands with `--each` on a deployment, computed"
    command = f"OFFLOAD_DEPLOYMENT={NAME} {' '.join(each[1:])}".replace("run", "offload run", 1)
    return Row(what, command, samples["deployed"], "xargs -P2 -I{} -a list.txt echo {}", samples["xargs"])


def _memory(context: Context, count: int) -> Row:
    """The most memory that is held for a long list, and for a short one."""
    here = context.directory("memory")
    each = [context.offload.command("offload"), "run", "-q", "--each", "list.txt", "-j2", "--", "echo", "{}"]
    peaks = []
    for number in (count // 100, count):
        _write_list(here, number)
        home = context.environ(here / f"home-{number}")
        peaks.append(max(_peak(each, home, here), _peak(each, home, here)))
    few, many = (Sample((peak / 1e6,)) for peak in peaks)
    what = f"peak memory of {count:,} trivial commands with `--each`, computed, then recalled"
    command = "/usr/bin/time -f %M offload run -q --each list.txt -j2 -- echo {}"
    return Row(what, command, many, f"{count // 100:,} of them", few, unit="MB")


def _peak(command: list[str], environ: dict[str, str], here: Path) -> int:
    """The most memory that a command itself held, in bytes."""
    process = subprocess.Popen(command, env=environ, cwd=here, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchmarkError(f"{' '.join(command)}: exit code {process.returncode}")
    return _maximum(usage)


def _maximum(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * 1024


def _write_list(here: Path, count: int) -> None:
    (here / "list.txt").write_text("".join(f"item-{number}\n" for number in range(count)))
