"""``offload scheduler``: Dask's scheduler with this deployment's certificates, until its standard input ends."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from typing import Any

from offload.deploy.config.spec import Spec, spec_of
from offload.deploy.endpoints import address, free_port, is_free, located
from offload.deploy.services.dask import HeadScheduler, dask_security
from offload.deploy.services.lifecycle import announce, until_told, withdraw
from offload.engines import dask_settings
from offload.engines.worker_start import cause_of
from offload.errors import OffloadError
from offload.registry.deployments import Place

PREFERRED = 8786
ATTEMPTS = 5


async def serve(place: Place, socket: str, port: int | None, attached: bool) -> None:
    """Run the scheduler of a deployment.

    Its address is written to standard output, as one line of JSON. It ends on SIGTERM; with a head also when standard
    input does, which is when the head ends, however it ends.

    Parameters
    ----------
    place : Place
        The deployment.
    socket : str
        Where the dashboard listens.
    port : int, optional
        The port it had before, which its workers know.
    attached : bool
        Whether a head has started it.

    Raises
    ------
    OffloadError
        If the scheduler closes by itself, as a client of Dask can have it do: whoever keeps it up starts it again.
    """
    for remark in dask_settings.apply():
        sys.stderr.write(f"{remark}\n")
    spec = located(spec_of(place))
    scheduler, port = await listening(place, spec, socket, port)
    async with scheduler:
        announce(place, attached, "scheduler", address("tls", spec, port))
        closing: Any = scheduler.finished  # which is not typed
        told, closed = asyncio.ensure_future(until_told(attached)), asyncio.ensure_future(closing())
        await asyncio.wait((told, closed), return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
    withdraw(place)
    if closed.done() and not told.done():
        raise OffloadError(f"the scheduler has closed: {scheduler.end_reason}")


async def listening(place: Place, spec: Spec, socket: str, port: int | None) -> tuple[HeadScheduler, int]:
    """Start a scheduler; return it with its port.

    That may be taken in the moment between the look and the listening: by another deployment, or by what somebody has
    started while the scheduler was away. Then it is another one.

    Raises
    ------
    PortsExhaustedError
        If the port that was asked for, or every allowed one, is taken.
    RuntimeError
        As Dask's scheduler, if it does not start for another reason.
    """
    for last in [False] * (ATTEMPTS - 1) + [True]:
        if port is None or not is_free(spec.host, port):
            port = free_port(spec.host, spec.port, spec.ports, PREFERRED)
        scheduler = HeadScheduler(
            socket,
            place,
            host=spec.host,
            port=port,
            protocol="tls",
            security=dask_security(place.keys),
            dashboard_address=None,
            local_directory=os.path.dirname(socket),
        )
        try:
            await scheduler
        except RuntimeError as exc:
            if last or getattr(cause_of(exc), "errno", None) != errno.EADDRINUSE:
                raise
        else:
            return scheduler, port
    raise AssertionError


def main(arguments: list[str]) -> int:
    """Run ``python -m offload.deploy.services.scheduler PLACE SOCKET [PORT]``, as the head does."""
    try:
        asyncio.run(serve(Place(arguments[0]), arguments[1], int(arguments[2]) if len(arguments) > 2 else None, True))
    except OffloadError as exc:
        sys.stderr.write(f"{exc.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
