"""Running the service until it is told to stop, or in a thread beside other work."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import TYPE_CHECKING

from aiohttp import web

from offload.storage.service.app import GUARD, make_app
from offload.storage.service.guard import log

if TYPE_CHECKING:
    import socket
    import ssl
    from types import TracebackType
    from typing import Self

    from offload.storage.database import Database
    from offload.storage.service.status import StatusFile
    from offload.storage.store import Store

GRACE = 10.0
"""Seconds that requests have to end when the service stops."""

KEEP = 75.0
"""Seconds for which an idle connection is kept; clients let go of theirs sooner."""


async def _started(app: web.Application, listener: socket.socket, context: ssl.SSLContext | None) -> web.AppRunner:
    runner = web.AppRunner(
        app,
        access_log=None,
        keepalive_timeout=KEEP,
        shutdown_timeout=GRACE,
        read_bufsize=1 << 20,
    )
    await runner.setup()
    await web.SockSite(runner, listener, ssl_context=context).start()
    return runner


def address(listener: socket.socket) -> tuple[str, int]:
    """Give the host and port of a listening socket."""
    host, port = listener.getsockname()[:2]
    return str(host), int(port)


async def serve(
    store: Store | None,
    database: Database | None,
    token: str,
    listener: socket.socket,
    context: ssl.SSLContext | None,
    status: StatusFile,
    idle: float | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until nobody has asked for anything for some time.

    Parameters
    ----------
    store, database, token
        As for `make_app`.
    listener : socket
        Where to listen.
    context : SSLContext, optional
        None: without TLS.
    status : StatusFile
        Told when the service is ready and when it has stopped.
    idle : float, optional
        Stop after so many seconds without a request.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    why = ["idle"]

    def stop(name: str) -> None:
        if stopping.is_set():
            # Asked twice: whoever asks does not want to wait for the rest.
            log("stopped at once")
            raise SystemExit(130)
        why[0] = name
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number.name)
    app = make_app(store, database, token)
    runner = await _started(app, listener, context)
    host, port = address(listener)
    try:
        status.write("running", host=host, port=port)
        log(f"listening on {'https' if context else 'http'}://{_shown(host)}:{port}")
        await _until(stopping, app, idle)
        log(f"stopping ({why[0]})")
    finally:
        await runner.cleanup()
        status.write("stopped")
        log("stopped")


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _until(stopping: asyncio.Event, app: web.Application, idle: float | None) -> None:
    guard = app[GUARD]
    while not stopping.is_set():
        left = None
        if idle is not None:
            left = guard.last + idle - time.monotonic()
            if guard.active:
                left = idle
            if left <= 0:
                return
        try:
            await asyncio.wait_for(stopping.wait(), left)
        except TimeoutError:
            continue


class ServiceThread:
    """The service in a thread of this process, for deployments in-process and for tests. A context manager.

    Parameters
    ----------
    store, database, token, listener, context
        As for `serve`.

    Attributes
    ----------
    url : str
        Where it listens.
    """

    def __init__(
        self,
        store: Store | None,
        database: Database | None,
        token: str,
        listener: socket.socket,
        context: ssl.SSLContext | None = None,
    ) -> None:
        host, port = address(listener)
        self.url = f"{'https' if context else 'http'}://{_shown(host)}:{port}"
        self._app = make_app(store, database, token)
        self._listener = listener
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="offload-service", daemon=True)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self._failed = error
        finally:
            self._loop.close()
            self._ready.set()

    async def _serve(self) -> None:
        runner = await _started(self._app, self._listener, self._context)
        self._ready.set()
        try:
            await self._stopping.wait()
        finally:
            await runner.cleanup()

    def start(self) -> Self:
        """Start and wait until requests are answered."""
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            raise self._failed
        return self

    def stop(self) -> None:
        """Let the requests that are being answered end, and stop."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        if self._failed is not None:
            raise self._failed

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
