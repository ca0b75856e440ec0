"""What a command line of ``offload run`` asks for: requests, where they run, and offload's own exit codes."""

from __future__ import annotations

import os

from offload.cli.run.options import Parsed
from offload.commands.request import Asking, Request
from offload.errors import OffloadError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from offload.commands.planning.plan import Plan
    from offload.registry.deployments import Place
    from offload.registry.session import Session
    from offload.util.resources import Resources

    Say = Callable[[str], None]

FAILED = 125
INTERRUPTED = 130
PIPE_CLOSED = 141


def exit_code_of(error: OffloadError) -> int:
    """Return offload's own exit code for an error: those of a command must not be mistaken for it."""
    return error.exit_code if error.exit_code in (126, 127, INTERRUPTED) else FAILED


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


def described(plan: Plan) -> dict[str, object]:
    """Return what a report says of a command first."""
    return {"command": plan.request.argv, "transformation": plan.transformation}
