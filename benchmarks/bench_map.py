"""A map of 10,000 trivial calls: all new and recorded, against raw Dask; then again in a fresh process.

Both sides use Dask's LocalCluster with a worker process for each core, one thread each, no dashboard, the same release
of Dask; it is up and has done a small map before the clock starts. The clock runs from the call of `map` until `gather`
has given the last value. offload stores the value and the record of each call on the way and its cluster talks TLS; raw
Dask stores nothing and talks plain TCP (a second figure has TLS too): the comparison leans to Dask's side. A quick run
computes fewer, because Dask takes its time.

"Again" is a process that starts with the recorded results and nothing else; its clock runs over `map` and `gather`,
all that they import included. joblib.Memory recalls the same calls in a loop.

One submitted call: 200 calls after the map, each waited for before the next one is submitted. offload runs it in a
runner, a process beside Dask's worker, and records it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from itertools import count, repeat

from benchmarks.harness import Context, Environment, Row, collect, serve

WORKERS = len(os.sched_getaffinity(0))
ONES = 200


def work(x: int) -> int:
    return x + 1


def _check(values: list[int], start: int, calls: int) -> None:
    if values != list(range(start + 1, start + calls + 1)):
        raise ValueError("map gave wrong values")


def offload_side(start: int, calls: int, warm: bool) -> dict[str, float]:
    import offload

    task = offload.task(work)
    if warm:
        offload.gather(task.map(range(start - 20, start)))
    begin = time.perf_counter()
    values = offload.gather(task.map(range(start, start + calls)))
    seconds = time.perf_counter() - begin
    _check(list(values), start, calls)
    return {"map": seconds / calls, "one": _one_by_one(lambda x: task.submit(x).result(), start + calls)}


def _one_by_one(call: Callable[[int], int], start: int) -> float:
    """Return the seconds that a call takes that is submitted, and waited for, before the next one is."""
    begin = time.perf_counter()
    values = [call(x) for x in range(start, start + ONES)]
    seconds = time.perf_counter() - begin
    _check(values, start, ONES)
    return seconds / ONES


def dask_side(start: int, calls: int, tls: bool) -> dict[str, float]:
    distributed = import_module("distributed")
    with (
        distributed.LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            dashboard_address=None,
            processes=True,
            security=distributed.Security.temporary() if tls else None,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.gather(client.map(work, range(start - 20, start)))
        begin = time.perf_counter()
        values = client.gather(client.map(work, range(start, start + calls)))
        seconds = time.perf_counter() - begin
        one = _one_by_one(lambda x: int(client.submit(work, x).result()), start + calls)
    _check(values, start, calls)
    return {"map": seconds / calls, "one": one}


def joblib_side(start: int, calls: int, location: str) -> dict[str, float]:
    cached = import_module("joblib").Memory(location, verbose=0).cache(work)
    begin = time.perf_counter()
    values = [cached(x) for x in range(start, start + calls)]
    seconds = time.perf_counter() - begin
    _check(values, start, calls)
    return {"map": seconds / calls}


def measure(context: Context) -> list[Row]:
    here = context.directory("map")
    environ = context.environ(here / "home")
    new, again, rounds = context.pick(10_000, 2_500, 50), context.pick(10_000, 10_000, 50), context.pick(3, 1, 1)
    fresh, known = count(1 << 20, 1 << 20), repeat(0)

    def side(
        environment: Environment, name: str, calls: int, starts: Iterator[int], **more: object
    ) -> dict[str, float]:
        return context.side(environment, __file__, name, environ, start=next(starts), calls=calls, **more)

    computing = {"offload": partial(side, context.offload, "offload", new, fresh, warm=True)}
    if context.peers is not None and "distributed" in context.installed:
        computing["dask"] = partial(side, context.peers, "dask", new, fresh, tls=False)
        computing["dask with TLS"] = partial(side, context.peers, "dask", new, fresh, tls=True)
    computed = collect(computing, rounds)
    recalling = {"offload": partial(side, context.offload, "offload", again, known, warm=False)}
    if context.peers is not None and "joblib" in context.installed:
        recalling["joblib"] = partial(side, context.peers, "joblib", again, known, location=here / "joblib")
    for record in recalling.values():
        record()
    recalled = collect(recalling, rounds + 2)
    command = 'python -m benchmarks.bench_map offload \'{"start": 0, "calls": %d, "warm": %s}\''
    first, second = command % (new, "true"), command % (again, "false")
    return [
        Row(
            f"map of {new:,} trivial calls, all new, all recorded, per call",
            first,
            computed["offload"]["map"],
            "raw Dask, nothing recorded",
            computed.get("dask", {}).get("map"),
            at_most=0.2,
            note=f"{WORKERS} worker processes, one thread each",
        ),
        Row(
            f"map of {new:,} trivial calls, all new, all recorded, per call",
            first,
            computed["offload"]["map"],
            "raw Dask with TLS, nothing recorded",
            computed.get("dask with TLS", {}).get("map"),
        ),
        Row(
            "one submitted call through a warm runner, recorded",
            first,
            computed["offload"]["one"],
            "raw Dask, nothing recorded",
            computed.get("dask", {}).get("one"),
            at_most=1.2,
        ),
        Row(
            "one submitted call through a warm runner, recorded",
            first,
            computed["offload"]["one"],
            "raw Dask with TLS, nothing recorded",
            computed.get("dask with TLS", {}).get("one"),
        ),
        Row(
            f"map of {again:,} trivial calls, again in a fresh process, per call",
            second,
            recalled["offload"]["map"],
            "joblib.Memory, a loop",
            recalled.get("joblib", {}).get("map"),
            at_most_seconds=30e-6,
        ),
    ]


if __name__ == "__main__":
    serve({"offload": offload_side, "dask": dask_side, "joblib": joblib_side})
