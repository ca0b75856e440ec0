"""``offload run --trace``."""

from __future__ import annotations

from offload.cli.output import report_json, say
from offload.commands.request import quoted
from offload.commands.running.sinks import sink_to
from offload.commands.trace import trace as traced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from offload.commands.planning.plan import Plan
    from offload.commands.running.scratch import Scratch
    from offload.commands.trace import Traced

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
        *_some("looked for {0}, which exists here and is no input: add --input {0}", found.missing),
        *_some("read {0}, which does not count: add --input {0}", found.read),
        *_some("started {0}, which does not count: name its environment with --env", found.programs),
        *_some("wrote {0}, which is not recorded: use a relative path and --output", found.written),
        *_some("connected to {0}: what it got from there does not count", found.connections),
    ]
    return lines or ["it used nothing that does not count"]


def _some(text: str, names: Iterable[str]) -> list[str]:
    every = [text.format(quoted(name)) for name in names]
    return every[:MOST] + ([f"... and {len(every) - MOST} more (--json lists all)"] if len(every) > MOST else [])
