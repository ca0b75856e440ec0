"""``offload why``."""

from __future__ import annotations

import click

from offload.cli.run.options import Parsed, click_command
from offload.cli.tables import write_json, write_line
from offload.errors import UsageError
from offload.util.units import FEWEST_DIGITS

HELP = """Explain why a command is recalled or computed, or what a recorded run consists of.

Before a command: say whether it would be recalled, and if not, what differs from the nearest earlier run. Nothing is
run. The options are those of `offload run`; put `--` before the command.

With the CHECKSUM of a transformation, as `offload history` shows it, or its first digits: list what it consists of,
and how it differs from the nearest other run of the same function or command.
"""

EPILOG = """\b
Examples:
    offload why -- sort words.txt
    offload why --var SEED=2 -- ./simulate config.ini
    offload why 3fb2c9d01a2e
"""

_KEPT = ("input", "output", "var", "env", "stdin", "detect", "scratch", "json", "command")
_MARKED = "offload.why.marked"


class WhyCommand(click.Command):
    """Remembers whether `--` was given: what follows it is a command, also if it looks like a checksum."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments."""
        ctx.meta[_MARKED] = "--" in args
        return super().parse_args(ctx, args)


def command() -> click.Command:
    """Return the command for click."""
    run = click_command(_start)
    parameters = [parameter for parameter in run.params if parameter.name in _KEPT]
    for parameter in parameters:
        if parameter.name == "json":
            assert isinstance(parameter, click.Option)
            parameter.help = "Report as one JSON document."
        elif isinstance(parameter, click.Argument):
            parameter.metavar = "CHECKSUM | COMMAND [ARG]..."
    return WhyCommand(
        "why",
        params=parameters,
        callback=run.callback,
        help=HELP,
        epilog=EPILOG,
        options_metavar="[OPTIONS] [--]",
        context_settings=run.context_settings,
    )


def _start(parsed: Parsed) -> int:
    words = parsed.command
    marked = click.get_current_context().meta[_MARKED]
    if len(words) == 1 and not marked and _is_checksum(words[0]):
        _explain_recorded(words[0], parsed.json)
    else:
        _explain_command(parsed)
    return 0


def _is_checksum(word: str) -> bool:
    return FEWEST_DIGITS <= len(word) <= 64 and set(word.lower()) <= set("0123456789abcdef")


def _explain_recorded(word: str, as_json: bool) -> None:
    from offload.cli.arguments import find_transformation
    from offload.registry.session import current

    session = current()
    found = find_transformation(session, word)
    if found.kind == "command":
        from offload.commands.recorded import explain_recorded

        explanation = explain_recorded(session, found)
    else:
        from offload.api.why import explain_transformation

        explanation = explain_transformation(session, found.checksum)
    if as_json:
        write_json(explanation.as_dict())
    else:
        for line in explanation.text().splitlines():
            write_line(line)


def _explain_command(parsed: Parsed) -> None:
    from offload.cli.output import say
    from offload.cli.run.explain import why_lines
    from offload.cli.run.request import request_of
    from offload.commands.recall import plan_one
    from offload.commands.running.scratch import Scratch
    from offload.commands.why import explain
    from offload.registry.session import current

    if ":::" in parsed.command:
        raise UsageError("why explains one command at a time", "write out the one you mean")
    request = request_of(parsed)
    session = current()
    scratch = Scratch(request.scratch)
    try:
        why = explain(plan_one(request, session, scratch, say)[1], session)
    finally:
        scratch.remove()
    if parsed.json:
        write_json(why)
    else:
        for line in why_lines(why, True):
            write_line(line)
