"""``offload jobs`` and ``cancel``: the commands that a deployment runs."""

from __future__ import annotations

import click

from offload.cli.arguments import json_option
from offload.cli.output import print_error, say
from offload.cli.tables import write_json, write_table
from offload.errors import NotFoundError, UsageError
from offload.jobs.commands.protocol import ENDED, RUNNING, JobInfo
from offload.util.durations import duration
from offload.util.units import moment_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.registry.deployments import Place

MOST_LINES = 20

on_option = click.option("--on", metavar="NAME", help="The deployment, where not the active one.")


def chosen_place(name: str | None) -> Place:
    """Return the deployment that is meant: the named one, else the active one, else the only one."""
    from offload.cli.deployments.list import registry

    return registry().only(name)


@click.command(epilog="Example: offload jobs --all --json")
@click.argument("name", required=False)
@on_option
@click.option("-a", "--all", "ended", is_flag=True, help="Those that have ended, too (the last thousand).")
@json_option
def jobs(name: str | None, on: str | None, ended: bool, as_json: bool) -> int:
    """List the commands that a deployment runs or is to run: number, state, since when, where, why, what.

    `offload wait` gives what one of them writes, `offload cancel` ends it.
    """
    from offload.jobs.commands.client import connected

    with connected(chosen_place(name or on), say) as service:
        found = service.listing(ended)
    if as_json:
        write_json([document(info) for info in found])
    elif found:
        write_table(("JOB", "STATE", "SINCE", "WORKER", "REASON", "COMMAND"), [_row(info) for info in found])
    else:
        say(f"{service.name} has no jobs" + ("" if ended else " under way; offload jobs --all shows those that ended"))
    return 0


@click.command(
    epilog="""\b
Examples:
    offload cancel 17 18
    offload cancel --all
"""
)
@click.argument("numbers", metavar="[JOB]...", type=int, nargs=-1)
@click.option("-a", "--all", "everything", is_flag=True, help="All jobs of the deployment that have not ended.")
@on_option
@json_option
def cancel(numbers: tuple[int, ...], everything: bool, on: str | None, as_json: bool) -> int:
    """Cancel commands on a deployment: those that wait never run, those that run are interrupted, then killed.

    Nothing of them is recorded, and whoever waits for them is told. Exit code 1 where a job has ended before, or there
    is none of that number.
    """
    if everything == bool(numbers):
        raise UsageError("give the numbers of jobs, or --all", "offload jobs lists them")
    from offload.jobs.commands.client import connected

    with connected(chosen_place(on), say) as service:
        found = service.cancel(None if everything else numbers)
    if as_json:
        write_json([document(info) for info in found])
    late = [info for info in found if info.outcome is not None and not info.outcome.cancelled]
    for info in found if not as_json else late:
        if len(found) <= MOST_LINES or info in late:
            say(f"job {info.job} {_fate(info)}")
    if not as_json and len(found) > MOST_LINES:
        say(f"{len(found) - len(late):,} jobs are cancelled, or being cancelled")
    if everything and not found:
        say(f"{service.name} has no jobs under way")
    missing = unknown(numbers, found)
    for error in missing:
        print_error(error)
    return 1 if missing or late else 0


def unknown(numbers: Sequence[int], found: Sequence[JobInfo]) -> list[NotFoundError]:
    """Return an error for each number that no job has."""
    there = {info.job for info in found}
    return [
        NotFoundError(f"there is no job {number}", "offload jobs --all lists them")
        for number in dict.fromkeys(numbers)
        if number not in there
    ]


def document(info: JobInfo) -> dict[str, object]:
    """Return a job as plain values."""
    outcome = info.outcome
    return {
        "job": info.job,
        "state": info.state,
        "reason": end_of(info) if info.state == ENDED else info.reason,
        "label": info.label,
        "transformation": info.transformation,
        "directory": info.directory,
        "detached": info.detached,
        "worker": info.worker or None,
        "submitted": info.submitted,
        "started": info.started,
        "ended": info.ended,
        "exit_code": outcome and outcome.exit_code,
        "cancelled": outcome is not None and outcome.cancelled,
        "outcome": (outcome and outcome.outcome) or None,
    }


def end_of(info: JobInfo) -> str:
    """Return how a job ended, in words."""
    from offload.cli.run.one import describe_exit

    outcome = info.outcome
    if outcome is None:
        return ""
    if outcome.cancelled:
        return "cancelled"
    if outcome.error is not None:
        return outcome.error.message
    took = duration(outcome.seconds)
    if outcome.exit_code:
        return f"{describe_exit(outcome.exit_code)} after {took}"
    return f"done in {took}" + (", not recorded" if outcome.unrecorded else "")


def _fate(info: JobInfo) -> str:
    if info.state == ENDED:
        return "is cancelled" if info.outcome is None or info.outcome.cancelled else f"had ended: {end_of(info)}"
    return "is being cancelled"


def _row(info: JobInfo) -> tuple[str, ...]:
    since = {ENDED: info.ended, RUNNING: info.started}.get(info.state) or info.submitted
    reason = end_of(info) if info.state == ENDED else info.reason
    return str(info.job), info.state, moment_text(since), info.worker, reason, info.label
