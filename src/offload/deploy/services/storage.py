"""The storage service of a deployment, as a child of its head: what ``offload serve storage`` runs."""

from __future__ import annotations

import asyncio
import json
import sys

from offload.deploy.config.spec import take_part
from offload.deploy.endpoints import address, located
from offload.deploy.security import credentials
from offload.deploy.security.grants import admission_of
from offload.errors import OffloadError, StorageError
from offload.http.listen import bind, server_context
from offload.registry.deployments import Place
from offload.registry.stores import database_of, store_of
from offload.storage.home import Home
from offload.storage.http.server.run import serve
from offload.storage.http.server.status import Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from offload.deploy.config.spec import Spec


class Announcement(Status):
    """Tells the head where the service listens, as one line of JSON on standard output."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def write(self, status: str, **more: object) -> None:
        """Tell it when the service runs; that it has ended, the head sees."""
        if status == "running":
            assert isinstance(more["port"], int)
            sys.stdout.write(json.dumps({"address": address("https", self._spec, more["port"])}) + "\n")
            sys.stdout.flush()


def run(place: Place, port: int | None) -> None:
    """Serve the store and the database of a deployment until standard input ends.

    Parameters
    ----------
    place : Place
        The deployment.
    port : int, optional
        The port it had before, which clients know; another one is taken when it is not free any more.
    """
    spec = located(take_part(place))
    own = credentials.certificate(place.keys, credentials.SERVER)
    home = Home()
    store, database = store_of(home), database_of(home)
    try:
        store.has([])  # what is wrong with them is to be known now
        database.lookup([])
        listener = _listen(spec, port)
        context = server_context(own.certificate, own.key)
        asyncio.run(serve(store, database, admission_of(place), listener, context, Announcement(spec), attached=True))
    finally:
        store.close()
        database.close()


def _listen(spec: Spec, port: int | None) -> socket.socket:
    # The scheduler, which comes up later, may have been given one of the range.
    allowed = [port for port in range(spec.ports[0], spec.ports[1] + 1) if port != spec.port] if spec.ports else [0]
    if port is not None:
        try:
            return bind(spec.host, [port])
        except StorageError:
            return bind(spec.host, allowed)
    return bind(spec.host, allowed)


def main(arguments: list[str]) -> int:
    """Run ``python -m offload.deploy.services.storage PLACE [PORT]``, as the head does."""
    try:
        run(Place(arguments[0]), int(arguments[1]) if len(arguments) > 1 else None)
    except OffloadError as exc:
        sys.stderr.write(f"{exc.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
