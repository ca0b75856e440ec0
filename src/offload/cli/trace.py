"""``offload run --trace``."""

from __future__ import annotations

from offload.cli.output import report_json, say
from offload.compute.commands.sinks import sink_to
from offload.compute.commands.trace import trace as traced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from offload.compute.commands.plan import Plan
    from offload.compute.commands.stage import Scratch
    from offload.compute.commands.trace import Traced

MOST = 20
"""Lines about one kind of thing."""


def trace(plan: Plan, scratch: Scratch, as_json: bool) -> int:
    """Run a command under strace, and tell what it used that does not count; return its exit code."""
    from offload.cli.signals import interruptible

    with interruptible():
        execution, found = traced(plan, scratch, (sink_to(1), sink_to(2)), say)
    if as_json:
        words = {"command": plan.request.argv, "transformation": plan.transformation}
        report_json({**words, "exit_code": execution.exit_code, **found.as_dict()})
        return execution.exit_code
    if execution.exit_code:
        say(f"exit code {execution.exit_code}")
    for line in _lines(found):
        say(line)
    say("traced; nothing was recorded, and no output brought back")
    return execution.exit_code


def _lines(found: Traced) -> list[str]:
    lines = [
        *_some(f"looked for {path}, which exists here and is no input: add --input {path}" for path in found.missing),
        *_some(f"read {path}, which does not count: add --input {path}" for path in found.read),
        *_some(f"started {path}, which does not count: name its environment with --env" for path in found.programs),
        *_some(f"wrote {path}, which is not recorded: use a relative path and --output" for path in found.written),
        *_some(f"connected to {place}: what it got from there does not count" for place in found.connections),
    ]
    return lines or ["it used nothing that does not count"]


def _some(lines: Iterable[str]) -> list[str]:
    every = list(lines)
    return every[:MOST] + ([f"... and {len(every) - MOST} more (--json lists all)"] if len(every) > MOST else [])
