"""``offload wait``: for commands on a deployment, as if they had been run here."""

from __future__ import annotations

import time

import click

from offload.cli.deployments.jobs import chosen_place, on_option, unknown
from offload.cli.output import keep_quiet, print_error, report_json, say
from offload.cli.run.one import report_computed
from offload.cli.run.request import exit_code_of
from offload.errors import OffloadError, UsageError
from offload.jobs.commands.protocol import ENDED, JobInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.jobs.commands.client import CommandJobs
    from offload.registry.session import Session

TIMED_OUT = 124


@click.command(
    epilog="""\b
Examples:
    offload wait 17
    job=$(offload run --detach -- ./simulate config.ini) && offload wait $job
    offload wait --timeout 60 17 18
"""
)
@click.argument("numbers", metavar="JOB...", type=int, nargs=-1, required=True)
@click.option("--timeout", type=float, metavar="S", help="Seconds to wait at most; exit code 124 when they are over.")
@on_option
@click.option("--json", "as_json", is_flag=True, help="Report on stderr, a line of JSON for each job.")
@click.option("-q", "--quiet", is_flag=True, help="Write no lines of offload's own but errors.")
def wait(numbers: tuple[int, ...], timeout: float | None, on: str | None, as_json: bool, quiet: bool) -> int:
    """Wait for commands on a deployment, and give what they give: output, files, exit code.

    Their output is written as `offload run` writes it, from its beginning, one job after the other; files come back
    into the directory from which the job was given. A job that has ended is as good. The exit code is the command's; of
    several, the first that is not 0. Jobs go on when this is interrupted.
    """
    if timeout is not None and timeout < 0:
        raise UsageError("--timeout is a number of seconds")
    from offload.jobs.commands.client import connected
    from offload.registry.session import session_of_place

    deadline = None if timeout is None else time.monotonic() + timeout
    tell = keep_quiet if quiet or as_json else say
    codes = []
    place = chosen_place(on)
    session = session_of_place(place)
    with connected(place, say) as service:
        found = {info.job: info for info in service.listing(True)} if any(numbers) else {}
        for error in unknown([number for number in numbers if number], list(found.values())):
            raise error
        for number in dict.fromkeys(numbers):
            if number == 0:
                tell("0 is no job: the result was recorded already")
                continue
            codes.append(_wait(service, session, found[number], deadline, as_json, tell))
    return next((code for code in codes if code), 0)


def _wait(
    service: CommandJobs,
    session: Session,
    info: JobInfo,
    deadline: float | None,
    as_json: bool,
    tell: Callable[[str], None],
) -> int:
    from offload.cli.signals import interruptible
    from offload.commands.running.scratch import Scratch
    from offload.commands.running.sinks import sink_to
    from offload.jobs.commands.follow import Followed

    if info.state == ENDED:
        deadline = None
    scratch = Scratch()
    followed = Followed(info.job, scratch.file, (sink_to(1), sink_to(2)))
    try:
        with interruptible():
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if service.wait(followed, left) is None:
                service.leave([info.job])
                why = followed.reason or followed.state
                print_error(OffloadError(f"job {info.job} has not ended yet: {why}", f"offload wait {info.job}"))
                return TIMED_OUT
            computed = followed.end(session, info.directory)
            return report_computed(computed, _subject(info), None, service.name, as_json, tell)
    except KeyboardInterrupt:
        service.leave([info.job])
        tell(f"not waiting for job {info.job} any longer")
        raise
    except OffloadError as error:
        print_error(error)
        if as_json:
            report_json({**_subject(info), "reason": error.message, "exit_code": exit_code_of(error)})
        return exit_code_of(error)
    finally:
        scratch.remove()


def _subject(info: JobInfo) -> dict[str, object]:
    return {"label": info.label, "transformation": info.transformation}
