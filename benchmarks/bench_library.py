"""A function of a large library that lies in the project, so that all of its code counts by content.

The library is sympy, with mpmath, copied into a project; the function, `isprime`, reaches nearly all of it. Each round
is a process of its own: it imports the library, then identifies the function (its graph), calls it, and calls it again.
From the third call on only what was looked at is checked: that call is measured. Installed libraries count by their
version, and take none of this time. There is no peer: joblib hashes the text of the one function.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import PATIENCE, BenchmarkError, Context, Row, Sample, serve

LIBRARY = (["sympy==1.14.0", "mpmath==1.3.0"], "sympy.ntheory.primetest", "isprime", 97)
AT_HAND = ("packaging", "packaging.version", "parse", "1.0")  # for a smoke run: a small one that is installed
CALLS = 20


def identify(project: str, module: str, function: str, argument: object) -> dict[str, float]:
    import warnings

    import offload

    warnings.simplefilter("ignore")  # sympy reaches clocks and random generators
    sys.path.insert(0, project)
    task = offload.task(getattr(importlib.import_module(module), function), effects="ignore")
    start = time.perf_counter()
    nodes = len(task.graph().nodes)
    graph = time.perf_counter() - start
    for _ in range(2):
        task(argument)
    start = time.perf_counter()
    for _ in range(CALLS):
        task(argument)
    return {"graph": graph, "call": (time.perf_counter() - start) / CALLS, "nodes": nodes}


def measure(context: Context) -> list[Row]:
    project = context.directory("project")
    if context.size == "smoke":
        package, module, name, argument = AT_HAND
        found = importlib.util.find_spec(package)
        assert found is not None and found.origin is not None
        shutil.copytree(Path(found.origin).parent, project / package)
    else:
        requirements, module, name, argument = LIBRARY  # type: ignore[assignment]
        words = [
            os.fspath(context.offload.python),
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--target",
            os.fspath(project),
            *requirements,
        ]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if done.returncode:
            raise BenchmarkError(done.stderr)
        for record in project.glob("*.dist-info"):
            shutil.rmtree(record)  # code of the project, not an installed distribution
    rounds = [
        context.side(
            context.offload, __file__, "identify", context.environ(context.directory("home"), PYTHONHASHSEED="1"),
            project=os.fspath(project), module=module, function=name, argument=argument,
        )
        for _ in range(context.pick(5, 3, 1))
    ]  # fmt: skip
    what = f"{module.partition('.')[0]} in the project, a function that reaches {rounds[0]['nodes']:,.0f} parts"
    command = "python benchmarks/run.py --only library"
    return [
        Row(f"{what}: identified", command, Sample(tuple(one["graph"] for one in rounds))),
        Row(f"{what}: called again", command, Sample(tuple(one["call"] for one in rounds))),
    ]


if __name__ == "__main__":
    serve({"identify": identify})
