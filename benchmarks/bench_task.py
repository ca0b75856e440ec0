"""One call of `@offload.task`, recalled and computed, against joblib.Memory; Seamless and redun for orientation.

The function and the arguments are the same on all sides: a trivial function of one int, so the figure is the cost of
being persistent. Each side is a process of its own, in turns. Recalled: the store is warm from an earlier process; the
first call in the process is given apart, then come many calls with the same argument; the median per call counts.
Computed: each call has a new argument, so that each is computed and recorded.
Durability: joblib and redun write without fsync. offload's small buffers and rows are SQLite transactions in WAL mode,
synchronous=NORMAL: like theirs they survive the death of the process at any moment, and a power failure may lose the
last of them, though it never damages the store. Seamless's database is synchronous=0, its servers run and are warm.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from itertools import repeat
from pathlib import Path
from statistics import median

from benchmarks.harness import Context, Environment, Row, collect, serve
from benchmarks.seamless_servers import Servers

WARM = 5  # the argument of the calls that are recalled


def work(x: int) -> int:
    return x + 1


def _report(call: Callable[[int], int], start: int, count: int, new: bool) -> dict[str, float]:
    """Time each call; `new` says whether each gets an argument of its own."""
    clock = time.perf_counter
    seconds = []
    for x in range(start, start + count) if new else [start] * count:
        begin = clock()
        value = call(x)
        seconds.append(clock() - begin)
        if value != x + 1:
            raise ValueError(f"work({x}) gave {value}")
    return {"first": seconds[0], "each": median(seconds[1:])}


def offload_side(start: int, count: int, new: bool) -> dict[str, float]:
    import offload

    return _report(offload.task(work), start, count, new)


def joblib_side(start: int, count: int, new: bool, location: str) -> dict[str, float]:
    return _report(import_module("joblib").Memory(location, verbose=0).cache(work), start, count, new)


def seamless_side(start: int, count: int, new: bool) -> dict[str, float]:
    config, seamless = import_module("seamless.config"), import_module("seamless")
    config.set_remote_clients(json.loads(os.environ["SEAMLESS_REMOTE_CLIENTS"]))
    try:
        return _report(import_module("seamless.transformer").direct(work), start, count, new)
    finally:
        seamless.close()


def redun_side(start: int, count: int, new: bool, location: str) -> dict[str, float]:
    redun, config = import_module("redun"), import_module("redun.config")
    logging.disable(logging.CRITICAL)
    scheduler = redun.Scheduler(config=config.Config({"backend": {"db_uri": f"sqlite:///{location}/redun.db"}}))
    scheduler.load()
    redun_work = redun.task(namespace="benchmark")(work)
    return _report(lambda x: scheduler.run(redun_work(x)), start, count, new)


def measure(context: Context) -> list[Row]:
    with ExitStack() as stack:
        return _measure(context, stack)


def _measure(context: Context, stack: ExitStack) -> list[Row]:
    here = context.directory("task")
    environ = context.environ(here / "home")
    sides: dict[str, tuple[Environment, dict[str, str], dict[str, object], int]] = {
        "offload": (context.offload, environ, {}, context.pick(2000, 1000, 5))
    }
    if context.peers is not None and "joblib" in context.installed:
        location = {"location": here / "joblib"}
        sides["joblib"] = (context.peers, environ, dict(location), context.pick(2000, 1000, 5))
    if context.peers is not None and "redun" in context.installed:
        sides["redun"] = (context.peers, environ, {"location": _made(here / "redun")}, context.pick(60, 20, 5))
    if context.seamless is not None:
        variables = stack.enter_context(Servers(context.seamless, here / "seamless")).variables
        sides["seamless"] = (context.seamless, {**environ, **variables}, {}, context.pick(60, 20, 5))
    fresh = iter(range(0, 1 << 60, 1 << 20))

    def side(name: str, new: bool, starts: Iterator[int]) -> dict[str, float]:
        environment, variables, arguments, count = sides[name]
        return context.side(
            environment, __file__, name, variables, start=next(starts), count=count, new=new, **arguments
        )

    for name in sides:
        side(name, False, repeat(WARM))
    rounds = context.pick(7, 3, 1)
    computed = collect({name: partial(side, name, True, fresh) for name in sides}, rounds)
    recalled = collect({name: partial(side, name, False, repeat(WARM)) for name in sides}, rounds)
    rows = []
    for title, figures, limit, new in (("recalled", recalled, 1.0, False), ("computed", computed, 2.0, True)):
        arguments = f'\'{{"start": 5, "count": {sides["offload"][3]}, "new": {str(new).lower()}}}\''
        for peer, budget in (("joblib", limit), ("seamless", None), ("redun", None)):
            theirs = figures.get(peer, {})
            rows += [
                Row(
                    f"`@task` {title}, one call",
                    f"python -m benchmarks.bench_task offload {arguments}",
                    figures["offload"]["each"],
                    {"joblib": "joblib.Memory", "seamless": "Seamless `@direct`"}.get(peer, peer),
                    theirs.get("each"),
                    at_most=budget,
                )
            ]
        rows += [
            Row(
                f"`@task` {title}, first call in a process",
                f"python -m benchmarks.bench_task offload {arguments}",
                figures["offload"]["first"],
                "joblib.Memory",
                figures.get("joblib", {}).get("first"),
                note="without the import of the module itself",
            )
        ]
    return rows


def _made(path: Path) -> Path:
    path.mkdir()
    return path


if __name__ == "__main__":
    serve({"offload": offload_side, "joblib": joblib_side, "seamless": seamless_side, "redun": redun_side})
