"""The job service of a deployment, as a child of its head."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from importlib import import_module

from aiohttp import web

from offload.deploy.config.spec import Spec, spec_of, take_part
from offload.deploy.endpoints import address, free_port, is_free, located
from offload.deploy.security import credentials
from offload.deploy.security.grants import admission_of
from offload.deploy.services.lifecycle import announce, until_told, withdraw
from offload.engines import dask_settings
from offload.engines.dask import DaskEngine
from offload.errors import OffloadError
from offload.http.listen import server_context
from offload.http.log import calm, line_logger
from offload.http.runner import Runner
from offload.http.software import explained
from offload.jobs.calls.service import JobService, application
from offload.jobs.commands.carrier import DaskCarrier
from offload.jobs.commands.journal import Ledger
from offload.jobs.commands.output import Spools
from offload.jobs.commands.service import CommandService
from offload.registry.contact import Contact
from offload.registry.deployments import Place
from offload.registry.session import current
from offload.registry.shared_files import mark
from offload.util.resources import Supply, parse_resources

CONNECT_SECONDS, PAUSE = 60.0, 0.2
EXISTING_SECONDS = 600.0  # for a scheduler of others, which nobody here starts again


def connect(place: Place) -> DaskEngine:
    """Return an engine on the deployment's scheduler, where it is now.

    Raises
    ------
    OffloadError
        If it does not come up in time.
    """
    try:
        return _connect(place)
    except Exception as exc:  # of whatever module it has to load now
        lost = explained(exc, place.name)
        if lost is None:
            raise
        raise OffloadError(f"{place.name} cannot go on: {lost.message}", lost.hint) from exc


def _connect(place: Place) -> DaskEngine:
    from distributed import Client

    from offload.deploy.services.dask import security_of

    dask_settings.apply()
    patience = CONNECT_SECONDS if spec_of(place).scheduler is None else EXISTING_SECONDS
    deadline = time.monotonic() + patience
    while True:
        contact = Contact.read(place.contact)
        try:
            if contact is None or contact.scheduler is None:
                raise OSError("it is not up yet")
            client = Client(contact.scheduler, security=security_of(place), set_as_default=False, timeout=5)
            # Anybody with the credentials may have joined, from wherever: each worker finds out what it sees.
            spec = spec_of(place)
            own = spec.scheduler is None
            name = place.name if own else None
            return DaskEngine(
                client,
                resumes=True,
                home=mark(place.authority),
                supply=_supply(spec),
                declared=own,
                deployment=name,
                near=own,
            )
        except (OSError, TimeoutError) as exc:
            if time.monotonic() > deadline:
                raise OffloadError(f"the scheduler of {place.name} cannot be reached: {exc}", "offload logs") from exc
        time.sleep(PAUSE)


def _supply(spec: Spec) -> Supply:
    """Return what is known of the workers of a deployment before they are there."""
    groups = [parse_resources(spec.group(name).resources) for name in spec.group_names()]
    return Supply(lambda: groups, reserved=bool(spec.groups))


async def serve(place: Place, port: int | None, attached: bool) -> None:
    """Run the job service until SIGTERM; with a head, also until standard input ends.

    Parameters
    ----------
    place : Place
        The deployment.
    port : int, optional
        The port it had before, which clients know.
    attached : bool
        Whether a head has started it.
    """
    spec = located(take_part(place))
    own = credentials.certificate(place.keys, credentials.SERVER)
    session = current()
    commands = CommandService(
        session,
        Ledger(os.path.join(place.path, "jobs.sqlite")),
        Spools(os.path.join(place.path, "jobs")),
        lambda: DaskCarrier(connect(place), place.path, session.home.key, spec.scratch),
    )
    service = JobService(session, lambda: connect(place), commands)
    calm(asyncio.get_running_loop())
    app = application(service, admission_of(place))
    runner = Runner(app, access_log=None, logger=line_logger(), shutdown_timeout=1, read_bufsize=1 << 20)
    await runner.setup()
    if port is None or not is_free(spec.host, port):
        port = free_port(spec.host, None, spec.ports, but=spec.port)
    await web.TCPSite(
        runner, spec.host, port, ssl_context=server_context(own.certificate, own.key), reuse_address=True
    ).start()
    announce(place, attached, "jobs", address("https", spec, port))
    # Calls can be taken on before Dask is imported; it takes most of the time of a start.
    importing = asyncio.create_task(asyncio.to_thread(import_module, "offload.deploy.services.dask"))
    await until_told(attached)
    importing.cancel()
    withdraw(place)
    # At once: what is recorded is recorded, and Dask's client could wait long for a scheduler that is ending, too.
    os._exit(0)


def main(arguments: list[str]) -> int:
    """Run ``python -m offload.deploy.services.jobs PLACE [PORT]``, as the head does."""
    try:
        asyncio.run(serve(Place(arguments[0]), int(arguments[1]) if len(arguments) > 1 else None, attached=True))
    except OffloadError as exc:
        sys.stderr.write(f"{exc.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
