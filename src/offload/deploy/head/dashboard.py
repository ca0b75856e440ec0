"""The authenticated way to Dask's dashboard: HTTP and websockets, passed on to its Unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import ClientConnectionError, ClientSession, UnixConnector, WSMsgType, web

# What belongs to one connection, and to offload rather than the dashboard.
_NOT_PASSED_ON = {
    "authorization", "connection", "content-encoding", "content-length", "cookie", "host", "keep-alive",
    "origin", "transfer-encoding", "upgrade",
}  # fmt: skip


ADMITTED = "offload_admitted"
"""The key of a request under which stands what tells whether its sender still is let in."""


class DashboardProxy:
    """Passes requests on to the dashboard.

    Parameters
    ----------
    socket : str
        The Unix socket on which the dashboard listens.
    """

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._session: ClientSession | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request with what the dashboard says."""
        if self._session is None:
            self._session = ClientSession(connector=UnixConnector(self._socket), auto_decompress=True)
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._websocket(request, self._session)
            return await self._plain(request, self._session)
        except (ClientConnectionError, FileNotFoundError):
            return web.json_response({"error": "the dashboard is not up: the scheduler may be starting"}, status=503)

    async def close(self, app: web.Application) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    async def _plain(self, request: web.Request, session: ClientSession) -> web.StreamResponse:
        url = f"http://localhost{request.rel_url}"
        body = await request.read() if request.can_read_body else None
        async with session.request(
            request.method, url, headers=_passed_on(request), data=body, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(status=answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in _NOT_PASSED_ON:
                    response.headers.add(name, value)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    async def _websocket(self, request: web.Request, session: ClientSession) -> web.StreamResponse:
        protocols = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if p.strip()]
        url = f"http://localhost{request.rel_url}"
        async with session.ws_connect(url, protocols=protocols, max_msg_size=0) as inner:
            outer = web.WebSocketResponse(protocols=[inner.protocol] if inner.protocol else (), max_msg_size=0)
            await outer.prepare(request)
            still = request[ADMITTED]
            directions = [
                asyncio.create_task(_copy(outer, inner, still)),
                asyncio.create_task(_copy(inner, outer, still)),
            ]
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            await outer.close()
            return outer


def _passed_on(request: web.Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON]


async def _copy(source, target, admitted: Callable[[], bool]) -> None:  # type: ignore[no-untyped-def]
    async for message in source:
        if not admitted():  # a page may stay open for long
            return
        if message.type == WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await target.send_bytes(message.data)
