"""A large array as the argument of one submitted call: how long it takes, and how much memory, against raw Dask.

Both sides use workers of this machine, a process for each core; they are up and have run a small call. Each round has a
new array of random numbers, of which the call reads a few. The clock runs from `submit` to the result. Memory is what
the peaks of all processes are above what they held before, added up: it is more than is in use at any one moment, on
both sides. offload identifies the array before and after the call, keeps a copy of its own from `submit` on, since the
caller may change the array then, records the result, and talks TLS; raw Dask does none of that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from statistics import median
from typing import Any

from benchmarks.harness import Context, Row, collect, serve

WORKERS = len(os.sched_getaffinity(0))


def work(array: Any) -> float:
    return float(array[::4096].sum())


def _peaks(begin: bool) -> dict[int, int]:
    """The most memory that each process of this family has held; with `begin` it is counted from now on."""
    psutil = import_module("psutil")
    found = {}
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        if begin:
            with open(f"/proc/{process.pid}/clear_refs", "w") as file:
                file.write("5")
        with open(f"/proc/{process.pid}/status") as file:
            words = [line.split() for line in file if line.startswith("VmHWM:")]
        found[process.pid] = int(words[0][1]) * 1024 if words else 0
    return found


def _report(call: Callable[[Any], float], size: int, rounds: int) -> dict[str, float]:
    numpy = import_module("numpy")
    call(numpy.random.default_rng().random(10))
    seconds, more = [], []
    for _ in range(rounds):
        array = numpy.random.default_rng().random(size // 8)
        before = _peaks(begin=True)
        start = time.perf_counter()
        value = call(array)
        seconds.append(time.perf_counter() - start)
        after = _peaks(begin=False)
        more.append(sum(peak - before.get(pid, peak) for pid, peak in after.items()))
        if value != work(array):
            raise ValueError("a wrong result")
    return {"seconds": median(seconds), "MB": median(more) / 1e6}


def offload_side(size: int, rounds: int) -> dict[str, float]:
    import offload

    task = offload.task(work)
    return _report(lambda array: task.submit(array).result(), size, rounds)


def dask_side(size: int, rounds: int) -> dict[str, float]:
    distributed = import_module("distributed")
    with (
        distributed.LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address=None, processes=True
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        return _report(lambda array: float(client.submit(work, array, pure=False).result()), size, rounds)


def measure(context: Context) -> list[Row]:
    size = context.pick(100, 100, 2) * 1_000_000
    environ = context.environ(context.directory("argument") / "home")
    rounds = context.pick(5, 3, 1)
    sides = {"offload": partial(context.side, context.offload, __file__, "offload", environ, size=size, rounds=rounds)}
    if context.peers is not None and "distributed" in context.installed:
        sides["dask"] = partial(context.side, context.peers, __file__, "dask", environ, size=size, rounds=rounds)
    found = collect(sides, context.pick(3, 1, 1))
    command = f'python -m benchmarks.bench_argument offload \'{{"size": {size}, "rounds": {rounds}}}\''
    peer, theirs = "raw Dask, nothing recorded", found.get("dask", {})
    what = f"an array of {size // 1_000_000} MB as an argument"
    return [
        Row(f"{what}, one submitted call", command, found["offload"]["seconds"], peer, theirs.get("seconds")),
        Row(
            f"{what}, memory of all processes",
            command,
            found["offload"]["MB"],
            peer,
            theirs.get("MB"),
            unit="MB",
            note="the caller's copy, and one in the process that runs the call, are what Dask has not",
        ),
    ]


if __name__ == "__main__":
    serve({"offload": offload_side, "dask": dask_side})
