"""What a request to a head asks for: others may send anything."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from offload.errors import UsageError


async def asked(request: web.Request) -> dict[str, Any]:
    """Return the JSON object that a request holds.

    Raises
    ------
    UsageError
        If it holds something else.
    """
    try:
        told = await request.json()
    except (ValueError, RecursionError, LookupError):  # no JSON, too deep, or in an encoding that nobody knows
        told = None
    if not isinstance(told, dict):
        raise UsageError(f"{request.method} {request.path} asks for a JSON object")
    return told
