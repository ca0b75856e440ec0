"""From nothing to a first result on a deployment of this machine, and to its end.

`offload up`, then a process that gets a result, against `dask scheduler` and `dask worker`, then a process that gets a
result. Both sides have the same parts: dashboard, as many workers as cores, one thread and a nanny for each; the
scheduler's port is free to choose. The client of plain Dask is the same program on both sides but for how it finds the
scheduler. The comparison leans to Dask's side: its scheduler, worker and client start at the same moment and wait for
each other by the scheduler file, while `offload up` has come back before our client starts; it has no TLS; and we start
a head, a job service and a storage service besides. Seconds run from the first command to the end of the client.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness import PATIENCE, BenchmarkError, Context, Row, interleave, output

WORKERS = len(os.sched_getaffinity(0))

PLAIN = """
import offload
with offload.client() as client:
    print(client.submit(sum, [1, 2]).result())
"""
TASK = """
import offload
@offload.task
def add(left, right):
    return left + right
print(add.submit(1, 2).result(60))
"""
DASK = """
from distributed import Client
with Client(scheduler_file=%r) as client:
    print(client.submit(sum, [1, 2]).result())
"""


def first_result(context: Context, script: str, here: Path) -> float:
    """Bring a deployment up in a new home, run a script on it, bring it down; return the seconds until the result."""
    environ = context.environ(context.directory("first") / "home", OFFLOAD_DEPLOYMENT="local")
    offload = context.offload.command("offload")
    start = time.perf_counter()
    output([offload, "up", "--workers", str(WORKERS)], environ, here)
    try:
        _check(output([str(context.offload.python), "-c", script], environ, here))
        return time.perf_counter() - start
    finally:
        output([offload, "down"], environ, here)


def dask_first_result(python: Path, environ: Mapping[str, str], here: Path) -> float:
    """Do the same with Dask's own commands."""
    file = here / "scheduler.json"
    file.unlink(missing_ok=True)
    dask, at = str(python.parent / "dask"), ["--scheduler-file", str(file)]
    commands = [
        [dask, "scheduler", *at, "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"],
        [dask, "worker", *at, "--host", "127.0.0.1", "--nworkers", str(WORKERS), "--nthreads", "1"],
    ]
    start = time.perf_counter()
    running = [
        subprocess.Popen(c, env=dict(environ), cwd=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for c in commands
    ]
    try:
        _check(output([str(python), "-c", DASK % str(file)], environ, here))
        return time.perf_counter() - start
    finally:
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def _check(said: str) -> None:
    if said.strip() != "3":
        raise BenchmarkError(f"the first result is {said!r}")


def measure(context: Context) -> list[Row]:
    here = context.directory("first-result")
    sides = {
        "plain": lambda: first_result(context, PLAIN, here),
        "task": lambda: first_result(context, TASK, here),
    }
    if context.peers is not None and "distributed" in context.installed:
        python, environ = context.peers.python, context.environ(here / "home")
        sides["dask"] = lambda: dask_first_result(python, environ, here)
    samples = interleave(sides, context.pick(7, 3, 1), 0 if context.size == "smoke" else 1)
    peer = "`dask scheduler`, `dask worker`, a client"
    note = f"{WORKERS} workers with nannies, dashboard; TLS on our side only"
    return [
        Row(
            f"nothing -> first result, {what}",
            command,
            samples[name],
            peer,
            samples.get("dask"),
            at_most=1.5,
            note=note,
        )
        for name, what, command in (
            ("plain", "plain Dask", "offload up && python -c 'offload.client().submit(...)'"),
            ("task", "a task", "offload up && python -c '...submit(1, 2).result()'"),
        )
    ]


if __name__ == "__main__":
    sys.exit("run it with: python benchmarks/run.py --only first_result")
