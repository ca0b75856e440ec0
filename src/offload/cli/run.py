"""``offload run``."""

from __future__ import annotations

import os
import time

from offload.cli.options import Parsed, parse
from offload.cli.output import duration, keep_quiet, print_error, report_json, say
from offload.compute.commands.request import Request
from offload.errors import OffloadError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    import click

    from offload.compute.commands.plan import Plan
    from offload.compute.commands.single import Computed
    from offload.compute.session import Session

    Say = Callable[[str], None]

FAILED = 125
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
    return error.exit_code if error.exit_code in (126, 127) else FAILED


def command() -> click.Command:
    """Return the command for click."""
    from offload.cli.options import click_command

    return click_command(start)


def start(parsed: Parsed) -> int:
    """Do what was asked for."""
    if parsed.each is not None or ":::" in parsed.command:
        from offload.cli.run_each import run_each

        return run_each(parsed)
    if parsed.jobs is not None or parsed.fail_fast:
        raise UsageError("-j and --fail-fast go with --each, or arguments after :::")
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
    )


def variables_of(words: list[str]) -> dict[str, str]:
    """Return the variables of ``--var``; a name alone takes the value that it has here."""
    variables = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            current = os.environ.get(name)
            if current is None:
                raise UsageError(f"--var {name}: there is no such environment variable", f"--var {name}=VALUE")
            value = current
        variables[name] = value
    return variables


def run_one(parsed: Parsed, request: Request, tell: Say) -> int:
    """Recall or run one command."""
    from offload.compute.commands.recall import plan_one, recall, replay
    from offload.compute.commands.sinks import sink_to
    from offload.compute.commands.stage import Scratch
    from offload.compute.session import current

    session = current()
    scratch = Scratch(request.scratch)
    try:
        planner, plan = plan_one(request, session, scratch, tell)
        if parsed.dry_run or parsed.why:
            from offload.cli.explain import explain

            explain(plan, session, parsed)
            if parsed.dry_run:
                return 0
        record = None if request.fresh else recall(plan, session)
        if record is not None:
            whole = replay(record, session, sink_to(1), sink_to(2))
            if tell is say or parsed.json:
                _report_recalled(parsed, plan, session, tell)
            return 0 if whole else PIPE_CLOSED
        from offload.cli.signals import interruptible
        from offload.compute.commands.single import compute

        try:
            with interruptible():
                computed = compute(plan, planner, session, scratch, (sink_to(1), sink_to(2)), tell)
        except KeyboardInterrupt:
            tell("interrupted; not recorded")
            raise
        return _report_computed(parsed, plan, computed, tell)
    finally:
        scratch.remove()


def _report_recalled(parsed: Parsed, plan: Plan, session: Session, tell: Say) -> None:
    runs = session.database.runs(transformation=plan.transformation, limit=20)
    made = next((run for run in runs if run.outcome in ("recorded", "replaced")), None)
    if parsed.json:
        report_json(_report(plan, recalled=True, seconds=made and made.seconds, started=made and made.started))
    elif made is None:
        tell("recalled")
    else:
        moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(made.started))
        tell(f"recalled (computed {moment} in {duration(made.seconds)})")


def _report_computed(parsed: Parsed, plan: Plan, computed: Computed, tell: Say) -> int:
    execution = computed.execution
    code = execution.exit_code
    hints: list[str] = []
    if code and not execution.refused:
        from offload.compute.commands.hints import TAIL, missing_inputs

        hints = missing_inputs(execution.stderr.tail(TAIL), [item.path for item in plan.inputs])
    if parsed.json:
        report_json(
            _report(
                plan,
                recalled=False,
                recorded=bool(computed.outcome),
                outcome=computed.outcome or None,
                reason=f"exit code {code}" if code else computed.unrecorded or None,
                exit_code=code,
                seconds=execution.seconds,
                started=execution.started,
                missing_inputs=hints,
                strays=computed.strays,
            )
        )
    if code:
        if not execution.refused:
            tell(f"{describe_exit(code)} after {duration(execution.seconds)}; not recorded")
        for name in hints:
            tell(f"{name} exists here but is not an input: add --input {name}")
    elif computed.problem is not None:
        error = computed.problem
        print_error(type(error)(f"the command ended well, but its result is not recorded: {error.message}", error.hint))
        return FAILED
    elif computed.unrecorded:
        tell(f"computed in {duration(execution.seconds)}; not recorded: {computed.unrecorded}")
    elif computed.outcome == "irreproducible":
        tell(f"computed in {duration(execution.seconds)}; differs from the recorded result, which is kept")
    else:
        tell(
            f"computed in {duration(execution.seconds)}, {'recorded' if computed.outcome != 'same' else 'as recorded'}"
        )
    if computed.strays:
        tell(describe_strays(computed.strays))
    return code


def describe_strays(strays: list[str]) -> str:
    """Return what to do about files that a command made, and that are not its outputs.

    Examples
    --------
    >>> describe_strays(["b.txt"])
    'made b.txt, which does not come back: --output b.txt'
    >>> describe_strays(["/data/x"])
    'wrote /data/x, which is not recorded: when recalled it is not written; use a relative path and --output'
    """
    lost = [path for path in strays if not path.startswith("/")]
    names = ", ".join((lost or strays)[:3]) + (", ..." if len(lost or strays) > 3 else "")
    if lost:
        return f"made {names}, which does not come back: --output {lost[0]}"
    return f"wrote {names}, which is not recorded: when recalled it is not written; use a relative path and --output"


def describe_exit(code: int) -> str:
    """Return an exit code in words.

    Examples
    --------
    >>> describe_exit(3), describe_exit(137)
    ('exit code 3', 'ended by signal 9')
    """
    return f"ended by signal {code - 128}" if 128 < code < 128 + 65 else f"exit code {code}"


def _report(plan: Plan, recalled: bool, **values: object) -> dict[str, object]:
    return {
        "command": plan.request.argv,
        "transformation": plan.transformation,
        "recalled": recalled,
        **({"recorded": True, "exit_code": 0} if recalled else {}),
        **values,
    }
