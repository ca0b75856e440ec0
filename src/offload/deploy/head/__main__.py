"""``python -m offload.deploy.head PLACE [--attached | --job]``: run the head of a deployment, in the foreground."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import warnings
from importlib import import_module

from offload.deploy.config.spec import take_part
from offload.deploy.endpoints import address, free_port, known_as, located
from offload.deploy.head.supervisor import Head, log
from offload.deploy.security import credentials
from offload.deploy.security.grants import admission_of
from offload.deploy.security.pki import issue
from offload.errors import OffloadError
from offload.http.listen import server_context
from offload.http.log import calm, line_logger
from offload.registry.deployments import Place
from offload.registry.locks import LOOKS_SECONDS, settle
from offload.util.stopping import when_told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aiohttp.web import AppRunner

PREFERRED = 8787
TAKE_OVER_SECONDS = 120.0


async def serve(place: Place, attached: bool, job: str | None = None) -> None:
    """Run a head until it is told to end.

    Parameters
    ----------
    place : Place
        The deployment.
    attached : bool
        Whether to end when standard input does.
    job : str, optional
        The job of a batch system that it is.
    """
    spec = located(take_part(place))
    if job is not None:  # it may be on another node than before
        issue(place.keys, credentials.SERVER, known_as(spec))
    port = free_port(spec.host, None, spec.ports, PREFERRED, but=spec.port)
    listener = socket.create_server((spec.host, port), family=socket.AF_INET6 if ":" in spec.host else socket.AF_INET)
    head = Head(place, address("https", spec, port), job)
    when_told(lambda _: head.stop(), attached)
    log(f"{place.name} begins, process {os.getpid()}, {head.contact.head['url']}")
    head.starting = asyncio.create_task(head.start(), name="start")
    runner = await _serve_requests(head, listener)
    head.served.set()
    try:
        await asyncio.wait([head.starting])
        if not head.starting.cancelled():
            head.starting.result()
            log(f"{place.name} is up: {head.contact.scheduler or head.contact.storage}")
    except OffloadError:
        head.stop()
        await head.stopped.wait()
        raise
    await head.stopped.wait()
    await runner.cleanup()
    log(f"{place.name} has ended")


async def _serve_requests(head: Head, listener: socket.socket) -> AppRunner:
    # They take half a second to import, in which the children do the same.
    names = "aiohttp.web", "offload.http.runner", "offload.deploy.head.api"
    web, runners, api = await asyncio.to_thread(lambda: tuple(map(import_module, names)))
    own = credentials.certificate(head.place.keys, credentials.SERVER)
    context = server_context(own.certificate, own.key)
    calm(asyncio.get_running_loop(), log)
    runner: AppRunner = runners.Runner(
        api.application(head, admission_of(head.place)), access_log=None, logger=line_logger(log)
    )
    await runner.setup()
    await web.SockSite(runner, listener, ssl_context=context).start()
    return runner


def main(path: str, attached: bool = False, is_job: bool = False) -> int:
    """Run the head of the deployment in a directory, unless one runs already.

    Parameters
    ----------
    path : str
        The directory.
    attached : bool
        End also when standard input does.
    is_job : bool
        Whether it is a job of a batch system: then one that it takes over from is waited for.
    """
    if any(action == "error" for action, *_ in warnings.filters):
        warnings.simplefilter("ignore")  # a user who makes errors of warnings does not mean those of a service
    place = Place(path)
    if not settle(place, TAKE_OVER_SECONDS if is_job else LOOKS_SECONDS):
        log(f"{place.name} has a head already")
        return 1
    job = None
    if is_job:
        from offload.deploy.lifecycle.batch_job import read

        job = (read(place) or {}).get("id", "")
    try:
        asyncio.run(serve(place, attached, job))
    except OffloadError as exc:
        log(f"{place.name} cannot go on: {exc.message}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--attached" in sys.argv[2:], "--job" in sys.argv[2:]))
