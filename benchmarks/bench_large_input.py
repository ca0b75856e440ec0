"""A recalled command with a large input file that did not change.

`wc -l` of a 100 MB file. offload finds the file's checksum in its cache, by what stat says (git's rule for files
too freshly written: so the file lies for 3 s before it is first used); Seamless reads and hashes it each time.
Fair to Seamless: warm servers, pointed at directly; the file is in the page cache; the command is the same.
"""

from __future__ import annotations

import os
import time

from benchmarks.harness import BenchmarkError, Context, Row, interleave, output, timed
from benchmarks.seamless_servers import Servers


def measure(context: Context) -> list[Row]:
    here = context.directory("large-input")
    environ = context.environ(here / "home")
    megabytes = context.pick(100, 100, 1)
    with (here / "lines.txt").open("wb") as file:
        for _ in range(megabytes):
            file.write((os.urandom(511).hex().encode() + b"\n\n") * 1024)
    time.sleep(context.pick(3, 3, 0))
    python = str(context.offload.python)
    run = [context.offload.command("offload"), "run", "-q", "--", "wc", "-l", "lines.txt"]
    expected = output(["wc", "-l", "lines.txt"], environ, here)
    sides = {
        "pass": lambda: timed([python, "-c", "pass"], environ, here),
        "run": lambda: timed(run, environ, here),
    }
    if output(run, environ, here).split() != expected.split():
        raise BenchmarkError("offload run gives another answer than wc")
    rounds = context.pick(40, 15, 2)
    if context.seamless is None:
        samples = interleave(sides, rounds, 1)
    else:
        with Servers(context.seamless, here / "seamless") as servers:
            theirs = context.environ(here / "home", **servers.variables)
            seamless_run = [context.seamless.command("seamless-run"), "-q", "-y", "wc -l lines.txt"]
            if output(seamless_run, theirs, here).split()[0] != expected.split()[0]:
                raise BenchmarkError("seamless-run gives another answer than wc")
            sides["seamless"] = lambda: timed(seamless_run, theirs, here)
            samples = interleave(sides, rounds, 1, {"seamless": 5})
    what, command = f"`offload run`, recalled, unchanged {megabytes} MB input", "offload run -q -- wc -l lines.txt"
    return [
        Row(what, command, samples["run"], "python -c pass", samples["pass"], at_most=5),
        Row(
            what,
            f"{command}  # seamless-run -q -y 'wc -l lines.txt'",
            samples["run"],
            "seamless-run",
            samples.get("seamless"),
            note="servers already running",
        ),
    ]
