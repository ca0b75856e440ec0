"""What a head does for sharing: invitations, for its owner, and certificates, for those who were invited."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from offload.deploy.head.request import asked
from offload.deploy.security import client_certificates, grants
from offload.errors import OffloadError, UsageError
from offload.http.auth import Grant, owner
from offload.registry.deployments import Place

GRANT = "offload_grant"
"""The key of a request under which stands the grant of its sender; None for the owner."""

LONGEST = 1e10
"""Seconds: no invitation is for centuries."""


class Sharing:
    """Routes of the head's service.

    Parameters
    ----------
    place : Place
        The deployment.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    def routes(self) -> list[web.RouteDef]:
        """Return them."""
        return [
            web.get("/v1/grants", self._listing),
            web.post("/v1/grants", self._give),
            web.post("/v1/grants/revoke", self._revoke),
            web.post("/v1/certificate", self._certificate),
        ]

    async def _listing(self, request: web.Request) -> web.Response:
        self._check_owner(request)
        return web.json_response({"grants": [grants.described(grant) for grant in grants.grants_of(self._place)]})

    async def _give(self, request: web.Request) -> web.Response:
        self._check_owner(request)
        told = await asked(request)
        label, seconds = told.get("label", ""), told.get("seconds")
        if not isinstance(label, str) or not label.isprintable():
            raise UsageError("label is a line of text")
        if not (seconds is None or (type(seconds) in (int, float) and 0 < seconds < LONGEST)):
            raise UsageError("seconds are a number above 0")
        grant, token = await asyncio.to_thread(grants.give, self._place, label, seconds)
        return web.json_response({**grants.described(grant), "token": token, "owner": owner()})

    async def _revoke(self, request: web.Request) -> web.Response:
        self._check_owner(request)
        ended = await asyncio.to_thread(grants.revoke, self._place, str((await asked(request)).get("grant")))
        return web.json_response(grants.described(ended))

    async def _certificate(self, request: web.Request) -> web.Response:
        signed = (await asked(request)).get("request")
        if not isinstance(signed, str):
            raise UsageError("request is the text of a request for a certificate")
        grant: Grant | None = request[GRANT]
        label, expires = ("owner", None) if grant is None else (grant.label, grant.expires)
        certificate, end = await asyncio.to_thread(client_certificates.sign, self._place.keys, signed, label, expires)
        return web.json_response({"certificate": certificate, "seconds": end - time.time(), "expires": expires})

    def _check_owner(self, request: web.Request) -> None:
        if request[GRANT] is not None:
            raise OffloadError(f"only the owner of {self._place.name} invites", f"ask {owner()}")
