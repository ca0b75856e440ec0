"""Certificates and tokens: who trusts whom, and who can read what."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest

from offload.deploy.security import credentials
from offload.errors import NotFoundError


def serve_once(keys: str) -> int:
    """Accept one TLS connection with the certificate of `keys`, say hello, and return the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own = credentials.certificate(keys, credentials.SERVER)
    context.load_cert_chain(own.certificate, own.key)
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        connection, _ = listener.accept()
        with listener, connection:
            try:
                with context.wrap_socket(connection, server_side=True) as secured:
                    secured.sendall(b"hello")
            except (ssl.SSLError, OSError):
                return  # the client did not trust us: what the test is about

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])


def read(keys: str, port: int, name: str) -> bytes:
    context = ssl.create_default_context(cafile=credentials.authority(keys))
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        return secured.recv(5)


@pytest.fixture
def keys(tmp_path: Path) -> str:
    path = str(tmp_path / "keys")
    credentials.create(path, ["127.0.0.1", "localhost"])
    return path


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_server_is_trusted_under_its_names(keys: str, name: str) -> None:
    assert read(keys, serve_once(keys), name) == b"hello"


def test_a_server_is_not_trusted_under_another_name(keys: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        read(keys, serve_once(keys), "example.org")


def test_another_deployment_is_not_trusted(keys: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    credentials.create(other, ["127.0.0.1"])
    with pytest.raises(ssl.SSLCertVerificationError):
        read(other, serve_once(keys), "127.0.0.1")


def test_nobody_else_can_read_any_of_it(keys: str) -> None:
    assert stat.S_IMODE(os.stat(keys).st_mode) == 0o700
    names = os.listdir(keys)
    assert len(names) == 7  # three certificates with their keys, and the token
    assert {stat.S_IMODE(os.stat(os.path.join(keys, name)).st_mode) for name in names} == {0o600}


def test_what_is_there_stays(keys: str, tmp_path: Path) -> None:
    token = credentials.token(keys)
    credentials.create(keys, ["127.0.0.1"])
    assert credentials.token(keys) == token
    assert len(token) >= 32
    credentials.create(str(tmp_path / "more"), ["127.0.0.1"])
    assert credentials.token(str(tmp_path / "more")) != token


def test_a_missing_token_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no token file"):
        credentials.token(str(tmp_path))
