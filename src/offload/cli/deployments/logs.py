"""``offload logs``."""

from __future__ import annotations

import sys
import time

import click

from offload.cli.deployments.list import registry
from offload.cli.output import say
from offload.cli.tables import one_line, write_line
from offload.errors import NotFoundError

POLL = 0.2

EPILOG = """\b
Examples:
    offload logs
    offload logs big -f
    offload logs --worker worker-1 -n 100
"""


@click.command(epilog=EPILOG)
@click.argument("name", required=False)
@click.option("--worker", metavar="NAME", help="Only the log of this worker or service.")
@click.option("-f", "--follow", is_flag=True, help="Go on showing what is added, until Ctrl-C or the end of it all.")
@click.option("-n", "lines", type=click.IntRange(min=0), default=20, metavar="N", help="Lines of each. Default: 20.")
def logs(name: str | None, worker: str | None, follow: bool, lines: int) -> int:
    """Show the logs of a deployment in the order of time: head, scheduler, jobs, storage, workers.

    Also of those that died or never connected, and of a deployment whose head has died. For one on another machine,
    `link` is the connection to it.
    """
    from offload.deploy.log_reader import LogReader
    from offload.deploy.logs import merged

    place = registry().only(name)
    reader = LogReader(place, worker)
    found = reader.last(lines)
    if worker is not None and worker not in found and reader.trouble is None:
        names = ", ".join(sorted(LogReader(place).last(0)))
        raise NotFoundError(f"{place.name} has no log of {worker}", f"there are: {names or 'none'}")
    for who, line in merged(found):
        write_line(f"{who}: {one_line(line)}")
    if reader.trouble is not None and not follow:
        sys.stdout.flush()
        raise reader.trouble
    told = None
    while follow:
        sys.stdout.flush()
        if reader.trouble is not None and reader.trouble.message != told:
            told = reader.trouble.message
            say(told)
        time.sleep(POLL)
        for who, line in reader.added():
            write_line(f"{who}: {one_line(line)}")
        if reader.is_over():
            say(f"{place.name} has been brought down")
            return 0
    return 0
