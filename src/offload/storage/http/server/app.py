"""The storage service as an aiohttp application."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from aiohttp import web

from offload._version import __version__
from offload.http.auth import Admission
from offload.storage.http.server.batches import Batches
from offload.storage.http.server.buffers import Buffers
from offload.storage.http.server.database import Results
from offload.storage.http.server.leases import Leases
from offload.storage.http.server.middleware import Guard, unnamed
from offload.storage.http.server.transfer import LARGEST, Threads
from offload.storage.http.server.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from offload.storage.database import Database
    from offload.storage.store import Store

GUARD = web.AppKey("guard", Guard)
CALLS = 32
"""Calls of the store and the database at the same time; most of them wait for a disk."""

UPLOADS = 64
"""Uploads that are written at the same time; more have to wait."""

_TIDY = 60.0  # seconds between looks for leases that have run out


def make_app(store: Store | None, database: Database | None, token: str | Admission) -> web.Application:
    """Make the application. Closing it leaves store and database open.

    Parameters
    ----------
    store, database
        What is served; either may be None.
    token : str or Admission
        What every request has to show, or who knows that.
    """
    calls = ThreadPoolExecutor(CALLS, "offload-call")
    uploads = Uploads(UPLOADS)
    threads = Threads(calls, uploads)
    guard = Guard(token if isinstance(token, Admission) else Admission(token))
    app = web.Application(middlewares=[guard.middleware], client_max_size=LARGEST)
    app[GUARD] = guard
    app.on_response_prepare.append(unnamed)
    about = {"service": "offload", "version": __version__, "store": store is not None, "database": database is not None}

    async def healthcheck(_: web.Request) -> web.Response:
        return web.Response(text="OK")

    async def describe(_: web.Request) -> web.Response:
        return web.json_response(about)

    routes = [web.get("/healthcheck", healthcheck), web.get("/v1/about", describe)]
    leases = None
    if store is not None:
        leases = Leases(store)
        buffers = Buffers(store, threads, leases)
        routes += [*buffers.routes(), *Batches(store, threads, leases, buffers, database).routes()]
    if database is not None:
        routes += Results(database, threads, store).routes()
    for route in routes:
        route.kwargs["expect_handler"] = guard.expectation
    app.add_routes(routes)

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        tidying = asyncio.create_task(_tidy(leases, threads)) if leases is not None else None
        yield
        if tidying is not None and leases is not None:
            tidying.cancel()
            await asyncio.wait([tidying])
            await threads.run(lambda: leases.end(everything=True))
        calls.shutdown()
        uploads.threads.shutdown()

    app.cleanup_ctx.append(lifetime)
    return app


async def _tidy(leases: Leases, threads: Threads) -> None:
    while True:
        await asyncio.sleep(_TIDY)
        await threads.run(leases.end)
