"""What the holder of a grant may do with the services of a deployment, and that a revocation counts at once."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.deploy.security import client_certificates, credentials, grants
from offload.registry.deployments import Place, Registry
from tests.deploy.test_local import contact_of

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SECONDS = 60.0


@pytest.fixture
def place(home: Path) -> Iterator[Place]:
    registry = Registry(str(home))
    launch.up(registry, Spec(name="test", workers=0), print)
    place = registry.get("test")
    yield place
    launch.down(registry, place, print)


def ask(place: Place, token: str, url: str | None, body: dict[str, Any] | None = None) -> tuple[int, str]:
    """Return the status and the text of an answer."""
    sent = urllib.request.Request(
        str(url), None if body is None else json.dumps(body).encode(), {"Authorization": f"Bearer {token}"}
    )
    context = ssl.create_default_context(cafile=credentials.authority(place.keys))
    try:
        with urllib.request.urlopen(sent, timeout=SECONDS, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def test_every_service_lets_in_and_sends_away_at_once(place: Place) -> None:
    contact = contact_of(place)
    head = contact.head["url"]
    _, token = grants.give(place, "ben")
    urls = [f"{head}/v1/status", f"{head}/status", f"{contact.jobs}/v1/status", f"{contact.storage}/v1/about"]
    for url in urls:
        assert ask(place, token, url)[0] == 200
        assert ask(place, token[:-1], url)[0] == 401
    status, told = ask(place, token, f"{head}/v1/certificate", {"request": client_certificates.ask()[1]})
    assert status == 200
    assert "BEGIN CERTIFICATE" in json.loads(told)["certificate"]
    assert ask(place, token, f"{head}/v1/certificate", {"request": "x"})[0] == 400
    grants.revoke(place, "ben")
    for url in (*urls, f"{head}/v1/certificate", f"{head}/v1/down"):
        status, told = ask(place, token, url, {} if url.endswith(("certificate", "down")) else None)
        assert status == 401
        assert "the invitation 'ben' was revoked" in told
    assert ask(place, credentials.token(place.keys), urls[0])[0] == 200


def test_no_service_quotes_what_it_cannot_read_or_names_its_library(place: Place) -> None:
    contact = contact_of(place)
    context = ssl.create_default_context(cafile=credentials.authority(place.keys))
    for url in (contact.head["url"], contact.jobs, contact.storage):
        host, _, port = str(url).removeprefix("https://").partition(":")
        with (
            socket.create_connection((host, int(port)), SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer SECRET\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.0 400 Bad Request"), url
        assert b"SECRET" not in answer, url
        assert b"Server: offload" in answer, url


def test_only_the_owner_invites_and_revokes(place: Place) -> None:
    head, owner = contact_of(place).head["url"], credentials.token(place.keys)
    status, told = ask(place, owner, f"{head}/v1/grants", {"label": "ben", "seconds": 3600})
    assert status == 200
    token, number = json.loads(told)["token"], json.loads(told)["grant"]
    for path, body in (("grants", None), ("grants", {"label": "eve"}), ("grants/revoke", {"grant": number})):
        status, told = ask(place, token, f"{head}/v1/{path}", body)
        assert status == 400
        assert "only the owner of test invites" in told
    assert [one["label"] for one in json.loads(ask(place, owner, f"{head}/v1/grants")[1])["grants"]] == ["ben"]
    assert ask(place, owner, f"{head}/v1/grants/revoke", {"grant": number})[0] == 200
    assert ask(place, token, f"{head}/v1/status")[0] == 401
    for wrong in ({"label": 1}, {"seconds": "x"}, {"seconds": -1}):
        assert ask(place, owner, f"{head}/v1/grants", wrong)[0] == 400


def test_a_dashboard_that_is_open_is_cut(place: Place) -> None:
    url = contact_of(place).head["url"]
    _, token = grants.give(place, "ben")

    async def browse() -> None:
        context = ssl.create_default_context(cafile=credentials.authority(place.keys))
        jar = aiohttp.CookieJar(unsafe=True)  # of an address, not of a name
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), cookie_jar=jar) as browser:
            async with browser.get(f"{url}/login?token={token}") as page:
                assert page.status == 200
                assert "Dask" in await page.text()
                (login,) = page.history
                assert login.headers["Cache-Control"] == "no-store"
                assert login.headers["Referrer-Policy"] == "no-referrer"
                assert page.headers["Server"] == "offload"
            async with browser.ws_connect(f"{url}/eventstream", headers={"Origin": url}) as stream:
                ping = json.dumps({"name": "ping"})
                await stream.send_str(ping)
                assert (await asyncio.wait_for(stream.receive_json(), SECONDS))["name"] == "pong"
                grants.revoke(place, "ben")
                await stream.send_str(ping)
                answer = await asyncio.wait_for(stream.receive(), SECONDS)
                assert answer.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
            for path in ("/status", f"/login?token={token}"):
                async with browser.get(url + path) as refused:
                    assert refused.status == 401
        await asyncio.sleep(0.5)  # connections with TLS take a moment to close, and aiohttp does not wait for it

    asyncio.run(browse())
    older = ssl.create_default_context(cafile=credentials.authority(place.keys))
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(urllib.error.URLError, match="SSL"):
        urllib.request.urlopen(f"{url}/v1/status", context=older)
    assert launch.state(place) == "running"
