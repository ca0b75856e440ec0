"""``offload run``."""

from __future__ import annotations

import os
import time

from offload.cli.output import keep_quiet, print_error, report_json, say
from offload.cli.run.options import Parsed, parse
from offload.commands.request import Asking, Request
from offload.errors import OffloadError, UsageError
from offload.util.durations import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import click

    from offload.commands.planning.plan import Plan
    from offload.registry.deployments import Place
    from offload.registry.session import Session
    from offload.util.resources import Resources

    Say = Callable[[str], None]

FAILED = 125
INTERRUPTED = 130
PIPE_CLOSED = 141


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


def exit_code_of(error: OffloadError) -> int:
    """Return offload's own exit code for an error: those of a command must not be mistaken for it."""
    return error.exit_code if error.exit_code in (126, 127, INTERRUPTED) else FAILED


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


def request_of(parsed: Parsed) -> Request:
    """Return the request that a command line describes."""
    return Request(
        parsed.command,
        inputs=parsed.input,
        outputs=parsed.output,
        variables=variables_of(parsed.var),
        stdin=parsed.stdin if parsed.stdin is not None else "auto",
        scratch=parsed.scratch,
        detect=parsed.detect,
        fresh=parsed.fresh,
        environment=parsed.env,
        resources=resources_of(parsed.resources),
        timeout=timeout_of(parsed.timeout),
    )


def resources_of(text: str | None) -> Resources:
    """Return what ``--resources`` says."""
    if text is None:
        return ()
    from offload.util.resources import parse_resources

    return parse_resources(text)


def timeout_of(text: str | None) -> float | None:
    """Return what ``--timeout`` says, in seconds."""
    if text is None:
        return None
    from offload.util.quantities import parse_duration

    return parse_duration(text)


def variables_of(words: list[str]) -> dict[str, str]:
    """Return the variables of ``--var``; a name alone takes the value that it has here."""
    variables = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            current = os.environ.get(name)
            if current is None:
                example = f"{name}=DIR, with a directory here: what is in it is an input then"
                hint = f"--var {example if name.endswith('PATH') else f'{name}=VALUE'}"
                raise UsageError(f"--var {name}: there is no such environment variable", hint)
            value = current
        variables[name] = value
    return variables


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


def have_programs(requests: Sequence[Request], place: Place | None, parsed: Parsed, tell: Say) -> None:
    """Have programs that are not here looked for where the workers of a deployment are."""
    if place is None:
        raise UsageError("--there needs a deployment, whose programs are meant", _how_to_have_one())
    from offload.commands.planning.remote_programs import look_there

    def workers() -> Asking:
        from offload.jobs.commands.programs import workers_of

        return workers_of(place, tell)

    look_there(requests, place, parsed.there, workers)


def session_and_place(parsed: Parsed) -> tuple[Session, Place | None]:
    """Return where to look up and record, and the deployment that runs what is not recorded; None for this process."""
    from offload.registry.session import session_at

    session, place = session_at(parsed.on)
    if parsed.detach and place is None:
        raise UsageError("--detach needs a deployment, where the job can go on", _how_to_have_one())
    return session, place


def _how_to_have_one() -> str:
    """Return what to type for a deployment to be used: one that is up, by its name."""
    from offload.registry.contact import Contact
    from offload.registry.deployments import Registry
    from offload.storage.home import checked_home

    registry = Registry(checked_home())
    up = [name for name in registry.names() if Contact.read(registry.place(name).contact) is not None]
    if not up:
        return "offload up, then --on NAME"
    others = f" (or {', '.join(up[1:])})" if up[1:] else ""
    return f"--on {up[0]}{others} for this one, offload use {up[0]} for all that follow"


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


def described(plan: Plan) -> dict[str, object]:
    """Return what a report says of a command first."""
    return {"command": plan.request.argv, "transformation": plan.transformation}
