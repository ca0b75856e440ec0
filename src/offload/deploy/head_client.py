"""Asking a head: a small synchronous client for its HTTP service."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from offload.deploy.security import credentials
from offload.errors import OffloadError, RefusedError
from offload.http.certificate_times import of_clocks
from offload.http.connection import in_words
from offload.registry.contact import Contact
from offload.registry.deployments import Place

SECONDS = 60.0
UNAUTHORIZED = 401


class HeadGoneError(OffloadError):
    """The head of a deployment does not answer."""


class OtherHeadError(HeadGoneError):
    """Something else answers where the head of a deployment should: its certificate is by another authority."""


def ask(
    place: Place,
    contact: Contact,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """Send a request to a head and return its answer, which it may take some seconds for.

    Raises
    ------
    HeadGoneError
        If nobody answers.
    OffloadError
        If the head refuses; the message is its own.
    """
    if not contact.has_head():
        raise HeadGoneError(
            f"{place.name} has no head: its parts were started one by one",
            f"start and end workers yourself: offload worker --contact {place.contact}",
        )
    try:
        return request(contact.head["url"], place.keys, method, path, body, seconds)
    except HeadGoneError as exc:
        raise HeadGoneError(
            f"the head of {place.name} does not answer at {exc.message}",
            f"bring it up again: offload up {place.name}",
        ) from exc


def request(
    url: str, keys: str, method: str, path: str, body: dict[str, Any] | None = None, seconds: float = SECONDS
) -> dict[str, Any]:
    """Send a request to the head at an address, with the credentials in a directory; see `ask`."""
    sent = urllib.request.Request(
        url + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {credentials.token(keys)}", "Content-Type": "application/json"},
        method=method,
    )
    # Addresses of a deployment are reached directly, whatever proxy the rest of the network needs.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=credentials.authority(keys))),
    )
    try:
        with opener.open(sent, timeout=seconds) as answer:
            told: dict[str, Any] = json.load(answer)
            return told
    except urllib.error.HTTPError as exc:
        with exc:
            refusal = _refusal(exc.read())
        kind = RefusedError if exc.code == UNAUTHORIZED else OffloadError
        raise kind(
            refusal.get("error", f"the head answered {exc.code}: {exc.reason}"), refusal.get("hint", "offload logs")
        ) from exc
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "reason", None)
        if isinstance(reason, ssl.SSLCertVerificationError):
            there = urllib.parse.urlsplit(url)
            wrong = of_clocks(reason, f"the head at {url}", str(there.hostname), int(there.port or 443))
            if wrong is not None:
                raise wrong from exc
            raise OtherHeadError(f"{url}: {exc.reason}") from exc  # type: ignore[union-attr]
        cause = reason if isinstance(reason, OSError) else exc
        said = in_words(cause) if isinstance(cause, OSError) and not isinstance(cause, urllib.error.URLError) else cause
        raise HeadGoneError(f"{url}: {said}") from exc


def _refusal(body: bytes) -> dict[str, Any]:
    """Return what a head says of a request that it refuses; nothing where it was in no state to say it properly."""
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
