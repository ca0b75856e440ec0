"""``offload logs``."""

from __future__ import annotations

import sys
import time

import click

from offload.cli.deployments import registry
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

    Also of those that died, and of a deployment whose head has died.
    """
    from offload.deploy.logs import Follower, last_lines, log_files, merged

    place = registry().only(name)
    found = log_files(place)
    if worker is not None:
        if worker not in found:
            raise NotFoundError(f"{place.name} has no log of {worker}", f"there are: {', '.join(found) or 'none'}")
        found = {worker: found[worker]}
    follower = Follower(place, worker) if follow else None
    for who, line in merged({who: last_lines(path, lines) for who, path in found.items()}):
        write_line(f"{who}: {one_line(line)}")
    while follower is not None:
        sys.stdout.flush()
        time.sleep(POLL)
        for who, line in follower.added():
            write_line(f"{who}: {one_line(line)}")
        if follower.is_over():
            say(f"{place.name} has been brought down")
            return 0
    return 0
