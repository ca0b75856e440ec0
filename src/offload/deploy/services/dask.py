"""Dask's scheduler and worker as a deployment runs them: mutual TLS, and no HTTP port of their own.

Dask's HTTP servers know no authentication. Workers have none here; the scheduler's, which is the dashboard, listens on
a Unix socket that only its owner may open, and is reached through the head's authenticated proxy.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from itertools import islice
from typing import Any

import dask.config
from dask.utils import parse_timedelta
from distributed import Scheduler, Worker
from distributed.core import Status
from distributed.http.routing import RoutingApplication
from distributed.security import Security
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket

from offload.deploy.config.spec import spec_of
from offload.deploy.security import credentials
from offload.deploy.services.task_durations import Durations
from offload.engines.frozen_workers import Silence
from offload.engines.heartbeats import shorten
from offload.engines.reach import refusal, unreached
from offload.engines.worker_start import plain
from offload.registry.contact import Contact
from offload.registry.deployments import Place
from offload.runners import child_processes
from offload.runners.pool import ending_pool_of, pool_of

logger = logging.getLogger("distributed.scheduler")

MOST_LOOKED_AT = 1000
"""So many waiting tasks are looked at to tell how much there is to do; the others are taken to be like them."""


def dask_security(keys: str) -> Security:
    """Return Dask's security settings for the certificates in a directory."""
    own = credentials.certificate(keys, credentials.DASK)
    parties = ("scheduler", "worker", "client")
    return Security(
        require_encryption=True,
        tls_ca_file=credentials.authority(keys),
        **{f"tls_{party}_cert": own.certificate for party in parties},
        **{f"tls_{party}_key": own.key for party in parties},
    )


def security_of(place: Place) -> Security:
    """Return the settings for the scheduler of a deployment, which may be one that someone else started."""
    spec = spec_of(place)
    if spec.scheduler is None:
        return dask_security(place.keys)
    if spec.tls_ca is None:
        return Security(require_encryption=False)
    return Security(
        require_encryption=True,
        tls_ca_file=spec.tls_ca,
        tls_client_cert=spec.tls_cert,
        tls_client_key=spec.tls_key,
    )


class HeadScheduler(Scheduler):
    """A scheduler whose dashboard listens on a Unix socket.

    Parameters
    ----------
    socket : str
        The socket's path, in a directory that only the owner may enter.
    place : Place
        The deployment, whose head gives the dashboard to browsers.
    **kwargs
        As for Dask's scheduler.
    """

    def __init__(self, socket: str, place: Place, **kwargs: Any) -> None:
        self._dashboard_socket = socket
        self._place = place
        self._head_port = 0
        super().__init__(dashboard=True, **kwargs)
        self.handlers["demand"] = self.demand
        self.end_reason = ""
        self.durations = Durations(self)
        self.silence = Silence(self)

    def identity(self, n_workers: int = -1) -> dict[str, Any]:
        """Return what Dask tells clients, with the port at which the dashboard is: that of the head."""
        if not self._head_port:
            contact = Contact.read(self._place.contact)
            url = contact.head["url"] if contact is not None else ""
            self._head_port = int(url.rpartition(":")[2] or 0)
        told: dict[str, Any] = super().identity(n_workers)
        return {**told, "services": {**told["services"], "dashboard": self._head_port}}

    async def close(self, timeout: float | None = None, reason: str = "unknown") -> None:
        """Close, and remember why."""
        self.end_reason = self.end_reason or reason
        await super().close(timeout, reason)

    async def add_worker(self, comm: Any, *, address: str, **told: Any) -> None:
        """Take a worker on, unless it is not reached: calls would run there, and nobody could fetch what they give."""
        why = await unreached(self, self.coerce_address(address, told.get("resolve_address", True)))
        if why:
            message = refusal(address, why)
            logger.warning("%s is not taken on: %s", told.get("name", address), message)
            await comm.write({"status": "error", "message": message, "time": time.time()})
        else:
            await super().add_worker(comm, address=address, **told)

    async def remove_worker(self, address: str, **kwargs: Any) -> Any:
        """Remove a worker, and remember what it ran."""
        self.durations.leaving(self.coerce_address(address))
        return await super().remove_worker(address, **kwargs)

    def demand(self) -> dict[str, Any]:
        """Return how much there is to do: what has no worker yet, by what it needs, and what each worker has.

        Of each come the number of tasks, and the seconds that they may take by what is known. With a worker comes how
        much of its memory is used.
        """
        unknown = parse_timedelta(dask.config.get("distributed.scheduler.unknown-task-duration"))
        waiting: dict[tuple[tuple[str, float], ...], tuple[int, float]] = {}
        tasks = [*islice(self.queued, MOST_LOOKED_AT), *islice(self.unrunnable, MOST_LOOKED_AT)]
        share = (len(self.queued) + len(self.unrunnable)) / max(1, len(tasks))
        for task in tasks:
            needed = tuple(sorted((task.resource_restrictions or {}).items()))
            number, seconds = waiting.get(needed, (0, 0.0))
            known = task.prefix.duration_average
            waiting[needed] = number + 1, seconds + (known if known > 0 else unknown)
        return {
            "waiting": [[dict(needed), n * share, seconds * share] for needed, (n, seconds) in waiting.items()],
            "workers": {
                str(worker.name): [len(worker.processing), worker.occupancy, worker.nbytes, worker.memory_limit]
                for worker in self.workers.values()
            },
        }

    def start_http_server(self, routes: Any, *args: Any, **kwargs: Any) -> None:
        """Serve on the Unix socket, whatever address Dask would take."""
        if os.path.exists(self._dashboard_socket):
            os.unlink(self._dashboard_socket)
        self.http_application = RoutingApplication(routes)
        server: Any = HTTPServer(self.http_application)
        server.add_socket(bind_unix_socket(self._dashboard_socket, mode=0o600))
        # Dask asks for these to tell where the dashboard is.
        server.address, server.port = "localhost", 0
        self.http_server = server


class QuietWorker(Worker):
    """A worker without an HTTP server, that ends the commands that it runs when it is told to close."""

    def __init__(self, *args: Any, nanny: Any = None, **kwargs: Any) -> None:
        if nanny is not None:
            child_processes.allow()
        shorten(tell=True)
        super().__init__(*args, nanny=nanny, **kwargs)
        pool_of(self)

    async def __aenter__(self) -> Any:
        """Start, as a nanny has it do; what goes wrong is told in a form that arrives at the nanny whole."""
        try:
            return await super().__aenter__()  # type: ignore[no-untyped-call]
        except RuntimeError as exc:
            raise plain(str(self.name), exc) from exc

    async def close(self, *args: Any, **kwargs: Any) -> Any:
        """End the commands that run here, and close."""
        from offload.jobs.worker.round import resume, stop_all

        if self.status in (Status.closed, Status.closing, Status.failed):
            return await super().close(*args, **kwargs)
        await asyncio.to_thread(stop_all)
        try:
            with ending_pool_of(self):
                return await super().close(*args, **kwargs)
        finally:
            resume()

    def start_http_server(self, *args: Any, **kwargs: Any) -> None:
        """Start nothing."""
