"""Runs an application of aiohttp; no answer tells more than it has to, nor do those that aiohttp gives by itself."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from aiohttp import web

NAME = "offload"
"""What answers, for who asks: which library that is, and which version, is nobody's business."""


class _Handler(web.RequestHandler):
    __slots__ = ()

    def handle_error(self, *args: Any, **kwargs: Any) -> web.StreamResponse:
        """Answer what is no request, without quoting it: it may hold a token."""
        told = super().handle_error(*args, **kwargs)
        answer = web.Response(status=told.status, text=HTTPStatus(told.status).phrase, headers={"Server": NAME})
        answer.force_close()
        return answer


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        handler = super().__call__()
        handler.__class__ = _Handler
        return handler


class Runner(web.AppRunner):
    """As aiohttp's."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server
        return server
