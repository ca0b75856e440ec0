"""The head's own HTTP service: what the commands ask of it. Every request has to be admitted."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiohttp import web

from offload.deploy.config.spec import MOST_WORKERS, WORKER
from offload.deploy.head.dashboard import ADMITTED, DashboardProxy
from offload.deploy.head.request import asked
from offload.deploy.head.sharing import GRANT, Sharing
from offload.deploy.head.supervisor import Head, log
from offload.deploy.logs import said
from offload.errors import OffloadError, RefusedError, StorageError, UsageError
from offload.http.auth import Admission, Grant
from offload.http.software import explained
from offload.storage.http.server.middleware import unnamed

COOKIE = "offload"
_LARGEST = 1 << 63
_WATCHING = ("/v1/status", "/v1/contact", "/v1/logs", "/v1/certificate")  # whoever only watches keeps nothing alive


def application(head: Head, admission: Admission) -> web.Application:
    """Return the application that serves a head.

    Parameters
    ----------
    head : Head
        What it controls.
    admission : Admission
        Knows who may do everything.
    """
    proxy = DashboardProxy(head.socket)

    @web.middleware
    async def authenticated(request: web.Request, handler: web.Handler) -> web.StreamResponse:  # type: ignore[name-defined]
        if request.path == "/login":
            return _log_in(request, admission)
        try:
            request[GRANT] = _who(request, admission)
        except StorageError as exc:
            return _refused(exc, None if request.path.startswith("/v1/") else "in a browser: offload dashboard")
        request[ADMITTED] = lambda: _is_admitted(request, admission)
        if request.path not in _WATCHING:
            head.asked = time.monotonic()
        try:
            response: web.StreamResponse = await handler(request)
        except OffloadError as exc:
            return web.json_response({"error": exc.message, "hint": exc.hint}, status=400)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as exc:  # one that nobody foresaw: whoever asks is to understand the answer all the same
            log(f"{request.method} {request.path}: {type(exc).__name__}: {exc}")
            return web.json_response(_internal(head.place.name, exc), status=500)
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
        told = await asked(request)
        workers, group = told.get("workers"), told.get("group", WORKER)
        if type(workers) is not int or not 0 <= workers <= MOST_WORKERS:
            return web.json_response({"error": f"workers is a number from 0 to {MOST_WORKERS}"}, status=400)
        await head.scale(workers, group)
        return web.json_response(await head.status())

    async def adapt(request: web.Request) -> web.Response:
        told = await asked(request)
        minimum, maximum = told.get("minimum"), told.get("maximum")
        if type(minimum) is not int or type(maximum) is not int or not 0 <= minimum <= maximum <= MOST_WORKERS:
            reason = f"minimum and maximum are numbers from 0 to {MOST_WORKERS}, the smaller one first"
            return web.json_response({"error": reason}, status=400)
        await head.adapt(minimum, maximum, told.get("group", WORKER))
        return web.json_response(await head.status())

    async def logs(request: web.Request) -> web.Response:
        told = await asked(request)
        read, lines, only = told.get("read"), told.get("lines", 0), told.get("only")
        if not (read is None or (isinstance(read, dict) and all(map(_is_position, read.values())))):
            return web.json_response({"error": "read is what an earlier answer gave"}, status=400)
        if type(lines) is not int or lines < 0 or not (only is None or isinstance(only, str)):
            return web.json_response({"error": "lines is a number from 0, only is a name"}, status=400)
        return web.json_response(await asyncio.to_thread(said, head.place, read, lines, only))

    async def down(request: web.Request) -> web.Response:
        grant: Grant | None = request[GRANT]
        if grant is not None:
            head.note_end(f"brought down with the invitation {grant.label!r}")
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
            *Sharing(head.place).routes(),
            web.route("*", "/{path:.*}", proxy.handle),
        ]
    )
    app.on_response_prepare.append(unnamed)
    app.on_cleanup.append(proxy.close)
    return app


def _internal(name: str, error: Exception) -> dict[str, str]:
    """Return what is answered when a request could not be served."""
    lost = explained(error, name)
    if lost is not None:
        return {"error": f"{name} cannot go on: {lost.message}", "hint": str(lost.hint)}
    return {"error": f"internal error of the head of {name}: {type(error).__name__}: {error}", "hint": "offload logs"}


def _is_position(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(n) is int and 0 <= n < _LARGEST for n in value)


def _who(request: web.Request, admission: Admission) -> Grant | None:
    """Return the grant of who asks; None for the owner.

    A browser that has logged in may ask for the dashboard, from a page of the dashboard.

    Raises
    ------
    StorageError
        If it is nobody who is let in.
    """
    shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
    own = f"https://{request.host}"
    if shown or request.path.startswith("/v1/") or request.headers.get("Origin", own) != own:
        return admission.who(shown)
    return admission.who_by_cookie(request.cookies.get(COOKIE, ""))


def _is_admitted(request: web.Request, admission: Admission) -> bool:
    try:
        _who(request, admission)
    except StorageError:
        return False
    return True


def _refused(error: StorageError, hint: str | None = None) -> web.Response:
    if not isinstance(error, RefusedError):
        log(error.message)  # what is wrong in here is for the owner to know
        error = RefusedError("a token is needed")
    message = error.message if error.hint else "this needs the deployment's token"
    return web.json_response({"error": message, "hint": error.hint or hint}, status=401)


def _log_in(request: web.Request, admission: Admission) -> web.Response:
    """Turn the token of a link into a cookie, so that a browser can show the dashboard."""
    token = request.query.get("token", "")
    try:
        admission.who(token)
    except StorageError as exc:
        return web.json_response({"error": "this link is not, or no longer, right", "hint": exc.hint}, status=401)
    response = web.HTTPFound("/status")
    response.headers.update({"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})  # the link holds the token
    response.set_cookie(COOKIE, admission.cookie(token), httponly=True, secure=True, samesite="Strict")
    return response
