"""The options of ``offload up`` that are about jobs of a batch system."""

from __future__ import annotations

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_REQUEST = [
    click.option("--cores", type=int, metavar="N", help="Of each worker's job; as many threads, unless you say else."),
    click.option("--memory", metavar="SIZE", help="Of each worker's job: 54GB."),
    click.option(
        "--walltime", metavar="TIME", help="Of each worker's job: 01:00:00, 2h. It is replaced before its end."
    ),
    click.option("--queue", "--partition", "queue", metavar="NAME", help="The queue, or partition, of workers' jobs."),
    click.option("--account", metavar="NAME", help="Who pays for workers' jobs."),
    click.option("--qos", metavar="NAME", help="The quality of service of workers' jobs."),
    click.option("--constraint", metavar="TEXT", help="What the nodes of workers have to have."),
    click.option("--gpus", metavar="N", help="Graphics processors of each worker's job: 1, or a100:2."),
    click.option("--exclusive", is_flag=True, help="No other job on the nodes of workers."),
    click.option(
        "--nodes", type=int, metavar="N", help="With Slurm: nodes of each job, each with one worker. Default: 1."
    ),
    click.option(
        "--directive", "directives", multiple=True, metavar="TEXT", help="One more line of options; repeat it."
    ),
    click.option("--prologue", multiple=True, metavar="LINE", help="A line of shell before a worker; repeat it."),
]

_OPTIONS = [
    click.option("--provider", metavar="NAME", help="What gives workers: local, or slurm, sge, pbs, lsf, oar, ..."),
    click.option("--keep", metavar="NAME", help="What keeps the head: process, or a batch system. Default: process."),
    *_REQUEST,
    click.option(
        "--log-directory", metavar="DIR", help="Where jobs write their logs. Default: the deployment's place."
    ),
    click.option("--head-cores", type=int, metavar="N", help="With --keep: of the head's job."),
    click.option(
        "--head-nodes",
        type=int,
        metavar="N",
        help="With --keep slurm --provider local: nodes of the head's job, for the workers. Default: 1.",
    ),
    click.option("--head-memory", metavar="SIZE", help="With --keep: of the head's job."),
    click.option(
        "--head-walltime", metavar="TIME", help="With --keep: of the head's job. A new one takes over in time."
    ),
    click.option(
        "--head-queue", "--head-partition", "head_queue", metavar="NAME", help="With --keep: of the head's job."
    ),
    click.option("--head-account", metavar="NAME", help="With --keep: of the head's job."),
    click.option("--head-qos", metavar="NAME", help="With --keep: of the head's job."),
]


def job_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def request_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command those that say what a job asks for."""
    for option in reversed(_REQUEST):
        command = option(command)
    return command


def chosen(choices: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given, as they are kept in a table."""
    given = {key: value for key, value in choices.items() if value is not None and value is not False and value != ()}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
