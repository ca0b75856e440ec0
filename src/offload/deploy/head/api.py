"""The head's own HTTP service: what the commands ask of it. Every request needs the deployment's token."""

from __future__ import annotations

import asyncio
import hmac
import time
from typing import Any

from aiohttp import web

from offload.deploy.head.proxy import DashboardProxy
from offload.deploy.head.supervisor import Head
from offload.deploy.logs import said
from offload.deploy.spec import MOST_WORKERS
from offload.errors import OffloadError, UsageError

COOKIE = "offload"


def application(head: Head, token: str) -> web.Application:
    """Return the application that serves a head.

    Parameters
    ----------
    head : Head
        What it controls.
    token : str
        Who has it may do everything.
    """
    proxy = DashboardProxy(head.socket)

    @web.middleware
    async def authenticated(request: web.Request, handler: web.Handler) -> web.StreamResponse:  # type: ignore[name-defined]
        if request.path == "/login":
            return _log_in(request, token)
        if not (
            _shows(request.headers.get("Authorization", "").removeprefix("Bearer "), token) or _looks(request, token)
        ):
            return web.json_response({"error": "this needs the deployment's token"}, status=401)
        if request.path not in ("/v1/status", "/v1/contact", "/v1/logs"):  # whoever only watches keeps nothing alive
            head.asked = time.monotonic()
        try:
            response: web.StreamResponse = await handler(request)
        except OffloadError as exc:
            return web.json_response({"error": exc.message, "hint": exc.hint}, status=400)
        return response

    async def status(request: web.Request) -> web.Response:
        return web.json_response(await head.status())

    async def contact(request: web.Request) -> web.Response:
        if head.spec.scheduler is not None:
            raise UsageError(
                f"the scheduler of {head.place.name} is not offload's", f"dask worker {head.spec.scheduler}"
            )
        return web.json_response(vars(head.contact))

    async def scale(request: web.Request) -> web.Response:
        workers = (await request.json()).get("workers")
        if type(workers) is not int or not 0 <= workers <= MOST_WORKERS:
            return web.json_response({"error": f"workers is a number from 0 to {MOST_WORKERS}"}, status=400)
        await head.scale(workers)
        return web.json_response(await head.status())

    async def adapt(request: web.Request) -> web.Response:
        told = await request.json()
        minimum, maximum = told.get("minimum"), told.get("maximum")
        if type(minimum) is not int or type(maximum) is not int or not 0 <= minimum <= maximum <= MOST_WORKERS:
            reason = f"minimum and maximum are numbers from 0 to {MOST_WORKERS}, the smaller one first"
            return web.json_response({"error": reason}, status=400)
        await head.adapt(minimum, maximum)
        return web.json_response(await head.status())

    async def logs(request: web.Request) -> web.Response:
        told = await request.json()
        read, lines, only = told.get("read"), told.get("lines", 0), told.get("only")
        if not (read is None or (isinstance(read, dict) and all(map(_is_position, read.values())))):
            return web.json_response({"error": "read is what an earlier answer gave"}, status=400)
        if type(lines) is not int or lines < 0 or not (only is None or isinstance(only, str)):
            return web.json_response({"error": "lines is a number from 0, only is a name"}, status=400)
        return web.json_response(await asyncio.to_thread(said, head.place, read, lines, only))

    async def down(request: web.Request) -> web.Response:
        head.stop()
        return web.json_response({"state": "stopping"})

    app = web.Application(middlewares=[authenticated])
    app.add_routes(
        [
            web.get("/v1/status", status),
            web.get("/v1/contact", contact),
            web.post("/v1/scale", scale),
            web.post("/v1/adapt", adapt),
            web.post("/v1/logs", logs),
            web.post("/v1/down", down),
            web.route("*", "/{path:.*}", proxy.handle),
        ]
    )
    app.on_cleanup.append(proxy.close)
    return app


def _is_position(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(number) is int and number >= 0 for number in value)


def _shows(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def _looks(request: web.Request, token: str) -> bool:
    """Tell whether a browser that has logged in asks for the dashboard, from a page of the dashboard."""
    if request.path.startswith("/v1/") or request.headers.get("Origin", own := f"https://{request.host}") != own:
        return False
    return _shows(request.cookies.get(COOKIE, ""), _cookie(token))


def _cookie(token: str) -> str:
    """Return what a browser shows. It is not the token: browsers give cookies to every port of a host."""
    return hmac.new(token.encode(), b"dashboard", "sha256").hexdigest()


def _log_in(request: web.Request, token: str) -> web.Response:
    """Turn the token of a link into a cookie, so that a browser can show the dashboard."""
    if not _shows(request.query.get("token", ""), token):
        return web.json_response({"error": "this link is not, or no longer, right"}, status=401)
    response = web.HTTPFound("/status")
    response.set_cookie(COOKIE, _cookie(token), httponly=True, secure=True, samesite="Strict")
    return response
