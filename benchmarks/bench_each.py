"""Trivial commands (1,000 in a full run) with `offload run --each`, computed and recalled, against `xargs -P2`.

xargs records nothing, makes no scratch directory and keeps no output apart: it is the floor for starting so many
processes two at a time. The output is thrown away on both sides; the home is new for each computing round.
"""

from __future__ import annotations

import shutil

from benchmarks.harness import BenchmarkError, Context, Row, interleave, output, timed


def measure(context: Context) -> list[Row]:
    here = context.directory("each")
    count = context.pick(1000, 300, 10)
    (here / "list.txt").write_text("".join(f"item-{number}\n" for number in range(count)))
    kept, emptied = context.environ(here / "kept"), context.environ(here / "emptied")
    each = [context.offload.command("offload"), "run", "-q", "--each", "list.txt", "-j2", "--", "echo", "{}"]
    xargs = ["xargs", "-P2", "-I{}", "-a", "list.txt", "echo", "{}"]
    if sorted(output(each, kept, here).split()) != sorted(output(xargs, kept, here).split()):
        raise BenchmarkError("offload run --each gives another output than xargs")

    def compute() -> float:
        shutil.rmtree(here / "emptied", ignore_errors=True)
        return timed(each, emptied, here)

    sides = {
        "xargs": lambda: timed(xargs, kept, here),
        "computed": compute,
        "recalled": lambda: timed(each, kept, here),
    }
    samples = interleave(sides, context.pick(5, 2, 1), context.pick(1, 0, 0))
    command = "offload run -q --each list.txt -j2 -- echo {}"
    peer = "xargs -P2 -I{} -a list.txt echo {}"
    what = f"{count:,} trivial commands with `--each`"
    return [
        Row(f"{what}, computed", command, samples["computed"], peer, samples["xargs"]),
        Row(f"{what}, recalled", command, samples["recalled"], peer, samples["xargs"], note="xargs computes"),
    ]
