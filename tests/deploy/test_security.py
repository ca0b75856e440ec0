"""Certificates and tokens: good for what they are made for, and readable for nobody else."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from offload.deploy.security.pki import Certificate, create_authority, create_token, issue, read_token
from offload.errors import NotFoundError, StorageError, UsageError


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """Let the two talk; gives what the server read, or the name of its error, or raises what the client met."""
    ours, theirs = socket.socketpair()
    received: list[str] = []

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as tls:
                received.append(tls.recv(10).decode())
        except (ssl.SSLError, OSError) as error:
            received.append(type(error).__name__)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=name) as tls:
            tls.sendall(b"hello")
    except ssl.SSLCertVerificationError:
        raise
    except OSError:
        pass  # the server hung up; what it says of it counts
    finally:
        ours.close()
        thread.join()
        theirs.close()
    return received[0]


def server_side(paths: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paths.certificate, paths.key)
    return context


def client_side(authority: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.certificate)
    return context


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[str]:
    old = os.umask(0)
    yield str(tmp_path / "security")
    os.umask(old)


def test_a_certificate_is_good_for_its_hosts_and_its_name(directory: str) -> None:
    authority = create_authority(directory)
    server = server_side(issue(directory, "server", ["127.0.0.1", "::1", "node7.example.org"]))
    client = client_side(authority)
    for name in ("127.0.0.1", "::1", "node7.example.org", "server"):
        assert handshake(server, client, name) == "hello"
    for name in ("127.0.0.2", "node8.example.org"):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(server, client, name)


def test_the_authority_of_another_deployment_is_not_trusted(directory: str, tmp_path: Path) -> None:
    create_authority(directory)
    server = server_side(issue(directory, "server"))
    other = create_authority(str(tmp_path / "other"))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client_side(other), "server")


def test_both_sides_can_ask_for_certificates(directory: str) -> None:
    authority = create_authority(directory)
    server = server_side(issue(directory, "server"))
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(authority.certificate)
    client = client_side(authority)
    assert handshake(server, client, "server") == "SSLError"
    paths = issue(directory, "client")
    client.load_cert_chain(paths.certificate, paths.key)
    assert handshake(server, client, "server") == "hello"


def test_files_are_for_their_owner_only(directory: str) -> None:
    create_authority(directory)
    issue(directory, "server", ["localhost"])
    create_token(os.path.join(directory, "token"))
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    assert sorted(os.listdir(directory)) == ["ca.key", "ca.pem", "server.key", "server.pem", "token"]
    for name in os.listdir(directory):
        assert stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode) == 0o600


def test_an_authority_stays_and_a_certificate_is_made_anew(directory: str) -> None:
    first = Path(create_authority(directory).certificate).read_bytes()
    assert Path(create_authority(directory).certificate).read_bytes() == first
    one = Path(issue(directory, "server").certificate).read_bytes()
    assert Path(issue(directory, "server").certificate).read_bytes() != one


@pytest.mark.parametrize("name", ["", "ca", "../x", "a b", "\u00fc"])
def test_what_is_no_name(directory: str, name: str) -> None:
    create_authority(directory)
    with pytest.raises(UsageError):
        issue(directory, name)


def test_no_authority_no_certificate(directory: str) -> None:
    with pytest.raises(NotFoundError, match="no authority"):
        issue(directory, "server")
    create_authority(directory)
    with pytest.raises(UsageError, match="host name"):
        issue(directory, "server", ["\u00fc.example"])


def test_a_token_is_made_once(directory: str) -> None:
    path = os.path.join(directory, "token")
    token = create_token(path)
    assert len(token) >= 40
    assert create_token(path) == read_token(path) == token
    assert os.listdir(directory) == ["token"]


def test_tokens_that_are_refused(directory: str) -> None:
    path = Path(directory) / "token"
    with pytest.raises(NotFoundError, match="token"):
        read_token(str(path))
    create_token(str(path))
    path.chmod(0o640)
    with pytest.raises(StorageError, match="others can read"):
        create_token(str(path))
    path.write_text("short\n")
    path.chmod(0o600)
    with pytest.raises(StorageError, match="does not hold"):
        read_token(str(path))
