"""Clocks that are off by days: certificates do not count, which is told at once."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from offload.deploy.config.spec import Spec
from offload.deploy.head_client import request
from offload.deploy.lifecycle import local as launch
from offload.deploy.security import credentials, pki
from offload.http import certificate_times
from offload.http.certificate_times import ClockError
from offload.http.client import Client
from offload.registry.deployments import Registry
from offload.storage.retrying import on_the_way
from tests.requirements import requires_program

SECONDS = 60.0


class Answer(BaseHTTPRequestHandler):
    """Says nothing but what time it is."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""


@contextmanager
def service(keys: Path) -> Iterator[str]:
    """Serve with the certificate in a directory; give the address."""
    own = credentials.certificate(str(keys), credentials.SERVER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Credentials made by a clock that is three days ahead."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(time.time(), UTC) + timedelta(days=3)

    monkeypatch.setattr(pki, "datetime", Ahead)
    credentials.create(str(tmp_path / "keys"), ["127.0.0.1"])
    return tmp_path / "keys"


def test_a_certificate_that_does_not_count_yet_is_told_at_once(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with service(keys) as url:
        asks = certificate_times._ahead
        for ahead, told in (
            (lambda *_: 3 * 86400.0, ": the clocks here and there differ by 3 days, the one there is ahead"),
            (lambda *_: -7200.0, ": the clocks here and there differ by 2 h, the one there is behind"),
            (lambda *_: None, ""),
            (asks, ""),  # it is the same clock
        ):
            monkeypatch.setattr(certificate_times, "_ahead", ahead)
            with pytest.raises(ClockError) as caught:
                Client(url, credentials.token(str(keys)), credentials.authority(str(keys))).call("GET", "/v1/about")
            where = url.removeprefix("https://")
            assert caught.value.message == f"the certificate of the service at {where} is not yet valid{told}"
            assert caught.value.hint
            assert not on_the_way(caught.value)  # nobody waits for it
            with pytest.raises(ClockError, match=f"the certificate of the head at {url} is not yet valid"):
                request(url, str(keys), "GET", "/v1/status")


@pytest.mark.real
def test_a_clock_that_is_three_days_behind(home: Path, command: Path) -> None:
    requires_program("faketime")
    registry = Registry(str(home))
    launch.up(registry, Spec(name="t", workers=0), print)
    try:
        for words in (("run", "--on", "t", "--", "true"), ("scale", "t", "0"), ("status", "t")):
            behind = ["faketime", "-f", "-3d", command, *words]
            done = subprocess.run(behind, capture_output=True, timeout=SECONDS, check=False)
            assert done.returncode
            assert b"is not yet valid: the clocks here and there differ by 3 days" in done.stderr, words
            assert b"waiting" not in done.stderr
            assert b"timedatectl" in done.stderr, words
    finally:
        launch.down(registry, registry.get("t"), print)
