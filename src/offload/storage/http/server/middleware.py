"""What every request goes through: the token, no browsers from elsewhere, errors in one form, and counting."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aiohttp import web

from offload.errors import OffloadError, RefusedError, StorageError
from offload.http.errors import to_body
from offload.http.log import log
from offload.http.runner import NAME
from offload.http.software import explained
from offload.storage.http.server.transfer import cut

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from offload.http.auth import Admission

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

IDLE = "/v1/idle"
"""Where a service says for how long nobody has asked for anything; asking for that does not count."""

_LINE = 500  # characters of what is remembered as trouble

# A browser says where a request comes from. The service has no pages, so every such request is somebody else's.
_BROWSER = ("Origin", "Sec-Fetch-Site", "Access-Control-Request-Method")


class Guard:
    """Lets requests with the right token through, and knows how busy the service is.

    Parameters
    ----------
    admission : Admission
        Knows what a client has to show.
    what : str
        The service, in messages.

    Attributes
    ----------
    active : int
        Requests that are being answered.
    last : float
        When the last one ended (`time.monotonic`).
    stopping : bool
        Set when the service is to stop: what comes now is turned away.
    trouble : (float, str) or None
        When something last went wrong that should not have (`time.time`), and what.
    """

    def __init__(self, admission: Admission, what: str = "storage service") -> None:
        self._admission = admission
        self._what = what
        self.trouble: tuple[float, str] | None = None
        self.active = 0
        self.stopping = False
        self.last = time.monotonic()

    def refusal(self, request: web.Request) -> web.Response | None:
        """Give the answer to a request that has no business here; None to all others."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            self._admission.who(token if kind == "Bearer" else "")
        except StorageError as error:
            if not isinstance(error, RefusedError):
                log(f"error: {error.message}")  # what is wrong in here is for the owner to know
            if isinstance(error, RefusedError) and error.hint:
                refused = web.json_response(to_body(error)[1], status=401)  # an invitation that has ended
            else:
                refused = failure(401, "UsageError", "a token is needed")
            refused.headers["WWW-Authenticate"] = "Bearer"
            refused.force_close()
            return refused
        if any(name in request.headers for name in _BROWSER):
            refused = failure(403, "UsageError", "requests of web pages are refused")
        else:
            return None
        refused.force_close()  # and its body, however long, is not read
        return refused

    async def expectation(self, request: web.Request) -> web.StreamResponse | None:
        """Ask for a body that the client holds back, once the client has shown its token."""
        refused = self.refusal(request)
        if refused is None and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return refused

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Wrap every handler."""
        refused = self.refusal(request)
        if refused is None and self.stopping:
            refused = self._goodbye()
        if refused is not None:
            return refused
        if request.path == IDLE:
            return web.json_response({"idle_seconds": 0.0 if self.active else time.monotonic() - self.last})
        self.active += 1
        try:
            return await handler(request)
        except OffloadError as error:
            status, body = to_body(error)
            if status >= 500 and self.stopping:  # its successor finds out whether this was more than its end
                return self._goodbye()
            if status >= 500:
                log(f"error: {request.method} {request.path}: {error.message}")
            return web.json_response(body, status=status)
        except web.HTTPException as error:
            hint = " (another version of offload?)" if error.status in (404, 405) else ""
            return failure(error.status, "UsageError", f"{request.method} {request.path}: {error.reason}{hint}")
        except ConnectionError:
            cut(request)
            return failure(500, "StorageError", "the client went away")
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if self.stopping:
                return self._goodbye()
            log(f"error: {request.method} {request.path}: {type(error).__name__}: {error}")
            lost = explained(error)
            if lost is not None:
                self.trouble = time.time(), lost.message
                return failure(500, "StorageError", f"the {self._what} cannot go on: {lost.message}", lost.hint)
            self.trouble = time.time(), f"{request.method} {request.path}: {type(error).__name__}: {error}"[:_LINE]
            return failure(500, "StorageError", f"internal error of the {self._what}: {type(error).__name__}: {error}")
        finally:
            self.active -= 1
            self.last = time.monotonic()

    def _goodbye(self) -> web.Response:
        """Return what is answered from when the service is told to stop: clients wait for the one after it."""
        refused = failure(503, "StorageError", f"the {self._what} is stopping")
        refused.force_close()
        return refused


def failure(status: int, kind: str, message: str, hint: str | None = None) -> web.Response:
    """Give an answer that tells of an error."""
    return web.json_response({"error": kind, "message": message, "hint": hint}, status=status)


async def unnamed(_: web.Request, response: web.StreamResponse) -> None:
    """Leave out which library and version answers."""
    response.headers["Server"] = NAME
