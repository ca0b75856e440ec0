"""``offload run``."""

from __future__ import annotations

import time

from offload.cli.output import keep_quiet, print_error, report_json, say
from offload.cli.run.options import Parsed, parse
from offload.cli.run.request import PIPE_CLOSED, described, exit_code_of, have_programs, request_of, session_and_place
from offload.commands.request import Request
from offload.errors import OffloadError, UsageError
from offload.util.durations import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    import click

    from offload.commands.planning.plan import Plan
    from offload.registry.session import Session

    Say = Callable[[str], None]


def run(words: list[str]) -> int:
    """Run or recall what a command line says, and return its exit code."""
    try:
        parsed = parse(words)
        if parsed is not None:
            return start(parsed)
        from offload.cli.app import run_app

        return run_app(["run", *words])
    except OffloadError as error:
        print_error(error)
        return exit_code_of(error)


def command() -> click.Command:
    """Return the command for click."""
    from offload.cli.run.options import click_command

    return click_command(start)


def start(parsed: Parsed) -> int:
    """Do what was asked for."""
    if parsed.each is not None or any(word[:3] == ":::" for word in parsed.command):
        from offload.cli.run.each import run_each

        return run_each(parsed)
    for option in ("jobs", "fail_fast", "retries", "joblog", "colsep", "null"):
        if getattr(parsed, option):
            name = "-j" if option == "jobs" else f"--{option.replace('_', '-')}"
            raise UsageError(f"{name} goes with --each, or arguments after :::")
    return run_one(parsed, request_of(parsed), keep_quiet if parsed.quiet or parsed.json else say)


def run_one(parsed: Parsed, request: Request, tell: Say) -> int:
    """Recall or run one command."""
    from offload.commands.planning.stdin import note as stdin_note
    from offload.commands.recall import close_stdin, plan_one, recall, recall_recorded, replay
    from offload.commands.running.scratch import Scratch
    from offload.commands.running.sinks import sink_to

    session, place = session_and_place(parsed)
    scratch = Scratch(request.scratch)
    if place is not None or parsed.there:
        have_programs([request], place, parsed, tell)
    try:
        planner, plan = plan_one(request, session, scratch, tell)
        if plan.stdin.size and (text := stdin_note(plan.stdin, request.stdin, request.argv, len(plan.inputs))):
            say(text)  # also where all is to be quiet: what is lost so would not be missed
        if place is not None:
            close_stdin(plan, session)
        if parsed.dry_run or parsed.why:
            from offload.cli.run.explain import explain

            explain(plan, session, parsed)
            if parsed.dry_run:
                return 0
        if parsed.trace:
            from offload.cli.run.trace import trace

            return trace(plan, scratch, parsed.json)
        record = None if request.fresh else recall(plan, session)
        if parsed.detach and place is not None:
            from offload.cli.run.detached import detach

            return detach([plan], [record is not None], session, place, parsed.json, tell)
        if record is None:
            from offload.cli.run.one import computed_by, describe_unseen, not_found, report_computed

            computed = computed_by(place, plan, planner, session, scratch, tell)
            if computed is not None:
                known = [item.path for item in plan.inputs]
                return report_computed(
                    computed,
                    described(plan),
                    known,
                    None if place is None else place.name,
                    parsed.json,
                    tell,
                    None if tell is keep_quiet else lambda: describe_unseen(plan),
                    parsed.timeout is not None,
                    not_found(place, request.there is not None),
                    request.variables,
                )
            record = recall_recorded(plan, session)
        whole = replay(record, session, sink_to(1), sink_to(2))
        if tell is say or parsed.json:
            _report_recalled(parsed, plan, session, tell)
        return 0 if whole else PIPE_CLOSED
    finally:
        scratch.remove()


def _report_recalled(parsed: Parsed, plan: Plan, session: Session, tell: Say) -> None:
    runs = session.database.runs(transformation=plan.transformation, limit=20)
    made = next((run for run in runs if run.outcome in ("recorded", "replaced")), None)
    if parsed.json:
        times = {"seconds": made and made.seconds, "started": made and made.started}
        report_json({**described(plan), "recalled": True, "recorded": True, "exit_code": 0, **times})
    elif made is None:
        tell("recalled")
    else:
        moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(made.started))
        tell(f"recalled (computed {moment} in {duration(made.seconds)})")
