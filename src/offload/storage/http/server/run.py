"""Running the service until it is told to stop, or in a thread beside other work."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

from aiohttp import web

from offload.http.log import calm, line_logger, log
from offload.http.runner import Runner
from offload.storage.http.server.app import GUARD, make_app
from offload.util.stopping import when_told

if TYPE_CHECKING:
    import socket
    import ssl
    from types import TracebackType
    from typing import Self

    from offload.http.auth import Admission
    from offload.storage.database import Database
    from offload.storage.http.server.status import Status
    from offload.storage.store import Store

GRACE = 10.0
"""Seconds that requests have to end when the service stops."""

_LAST = 1.0  # seconds for requests that did not end in time, once they were told so
_HANDSHAKE = 15.0  # seconds for a client to begin TLS
_FAREWELL = 0.2  # seconds for a client to say goodbye in TLS; the last bytes have been sent before

KEEP = 75.0
"""Seconds for which an idle connection is kept; clients let go of theirs sooner."""


class _Listening:
    """The app on a socket."""

    def __init__(self, app: web.Application, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        self._app = app
        self._listener = listener
        self._context = context
        self._runner = Runner(
            app,
            access_log=None,
            logger=line_logger(),
            keepalive_timeout=KEEP,
            shutdown_timeout=_LAST,
            read_bufsize=1 << 20,
        )

    async def start(self) -> None:
        """Take connections from now on."""
        calm(asyncio.get_running_loop())
        await self._runner.setup()
        # Not through aiohttp's sites, which leave the deadlines of TLS at a minute and more.
        tls = self._context is not None
        assert self._runner.server is not None
        self._server = await asyncio.get_running_loop().create_server(
            self._runner.server,
            sock=self._listener,
            ssl=self._context,
            backlog=1024,
            ssl_handshake_timeout=_HANDSHAKE if tls else None,
            ssl_shutdown_timeout=_FAREWELL if tls else None,
        )

    async def stop(self) -> None:
        """Take no more connections, let requests end, send what is left to be sent, and hang up."""
        self._server.close()
        # Before aiohttp's own end of things, after which it reads no more of the bodies that are coming in.
        guard = self._app[GUARD]
        guard.stopping = True
        deadline = time.monotonic() + GRACE
        while guard.active and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert self._runner.server is not None
        open_ones = len(self._runner.server.connections)
        await self._runner.cleanup()
        if open_ones:
            await asyncio.sleep(_FAREWELL + 0.1 if self._context else 0.1)


def address(listener: socket.socket) -> tuple[str, int]:
    """Give the host and port of a listening socket."""
    host, port = listener.getsockname()[:2]
    return str(host), int(port)


async def serve(
    store: Store | None,
    database: Database | None,
    token: str | Admission,
    listener: socket.socket,
    context: ssl.SSLContext | None,
    status: Status,
    idle: float | None = None,
    attached: bool = False,
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
    status : Status
        Told when the service is ready and when it has stopped.
    idle : float, optional
        Stop after so many seconds without a request.
    attached : bool
        Stop also when standard input ends, as it does when whoever started the service is gone.
    """
    stopping = asyncio.Event()
    why = ["idle"]

    def stop(name: str) -> None:
        if stopping.is_set():
            # Asked twice: whoever asks does not want to wait for the rest.
            log("stopped at once")
            raise SystemExit(130)
        why[0] = name
        stopping.set()

    when_told(stop, attached)
    app = make_app(store, database, token)
    listening = _Listening(app, listener, context)
    await listening.start()
    host, port = address(listener)
    try:
        status.write("running", host=host, port=port)
        log(f"listening on {'https' if context else 'http'}://{_shown(host)}:{port}")
        await _until(stopping, app, idle)
        log(f"stopping ({why[0]})")
    finally:
        await listening.stop()
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
        token: str | Admission,
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
        listening = _Listening(self._app, self._listener, self._context)
        await listening.start()
        self._ready.set()
        try:
            await self._stopping.wait()
        finally:
            await listening.stop()

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
