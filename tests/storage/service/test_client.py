"""The client's side: connections, deadlines, whom it trusts, what it loads, what it says when the service is away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from offload.deploy.security.pki import create_authority
from offload.errors import BufferMissingError, StorageError, UsageError
from offload.http.client import Client
from offload.http.listen import bind
from offload.identity.checksums import BLOCK, checksum
from offload.storage.http.database import HttpDatabase
from offload.storage.http.server.run import ServiceThread
from offload.storage.http.store import HttpStore
from offload.storage.memory import MemoryStore
from offload.storage.retrying import Patience, on_the_way
from tests.storage.service.serving import TOKEN, Served, credentials
from tests.storage.test_database_contract import entry

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\x01"


class Script:
    """A server that reads a request and sends what it is told to: one answer after the other, None to hang up."""

    def __init__(self, *answers: bytes | None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(20)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = 0
        self._answers = list(answers)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while self._answers:
            connection, _ = self._listener.accept()
            with connection:
                while connection.recv(1 << 20) and self._answers:
                    self.requests += 1
                    answer = self._answers.pop(0)
                    if answer is None:
                        break
                    connection.sendall(answer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()


def test_a_kept_connection_is_used_again() -> None:
    with Script(OK, OK, OK) as server:
        client = Client(server.url, TOKEN)
        store = HttpStore(client)
        assert [store.has([checksum(b"")]) for _ in range(3)] == [[True]] * 3
        assert len(client._idle) == 1
        client.close()


def test_a_request_is_sent_again_when_a_kept_connection_is_dead() -> None:
    with Script(OK, None, OK) as server, HttpStore(Client(server.url, TOKEN)) as store:
        assert store.has([checksum(b"")]) == [True]
        assert store.has([checksum(b"")]) == [True]
    assert server.requests == 3


def test_a_run_is_never_recorded_twice() -> None:
    with Script(OK, None) as server:
        client = Client(server.url, TOKEN)
        HttpStore(client).has([checksum(b"")])
        with pytest.raises(StorageError, match="does not answer"), HttpDatabase(client) as database:
            database.record([entry(1)])
    assert server.requests == 2


def test_a_new_connection_that_breaks_is_an_error() -> None:
    lost = pytest.raises(StorageError, match="does not answer: the connection was closed")
    with Script(None) as server, HttpStore(Client(server.url, TOKEN)) as store, lost:
        store.has([checksum(b"")])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "without a length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no HTTP"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>", "answers 502"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x01", "no byte came in time"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\x01\x01\x01", None),
        (b"x" * 100_000, "no HTTP"),
    ],
)
def test_answers_that_are_none(answer: bytes, message: str | None) -> None:
    with Script(answer) as server, HttpStore(Client(server.url, TOKEN, idle=0.3)) as store:
        if message is None:
            assert store.has([checksum(b"")] * 2) == [True, True]
        else:
            with pytest.raises(StorageError, match=message):
                store.has([checksum(b"")])


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    store = HttpStore(Client(f"http://127.0.0.1:{port}", TOKEN))
    with pytest.raises(StorageError, match=f"127.0.0.1:{port} does not answer") as caught:
        store.has([checksum(b"")])
    assert caught.value.hint


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://a:1", "http://a", "http://:80", "http://a:b"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        Client(url, TOKEN)


def test_https_needs_its_authority() -> None:
    with pytest.raises(UsageError, match="authority"):
        Client("https://a:1", TOKEN)
    with pytest.raises(UsageError, match="token"):
        Client("http://a:1", "x\r\nHost: y")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as served:
        yield served


def test_only_the_authority_of_the_deployment_is_trusted(served: Served, tmp_path: Path) -> None:
    other = create_authority(str(tmp_path / "other"))
    client = Client(served.url, TOKEN, other.certificate)
    with pytest.raises(StorageError, match="is not the one of this deployment"):
        client.call("GET", "/healthcheck")
    client = Client(served.url, TOKEN, credentials()[0], name="another.example")
    with pytest.raises(StorageError, match="is not the one of this deployment"):
        client.call("GET", "/healthcheck")
    client = Client(served.url, TOKEN, credentials()[0], name="server")
    assert client.call("GET", "/healthcheck").body == b"OK"
    client.close()
    with pytest.raises(UsageError, match="cannot be used"):
        Client(served.url, TOKEN, str(tmp_path / "nowhere")).call("GET", "/healthcheck")


def test_plain_http_gets_nothing_from_https(served: Served) -> None:
    client = Client(served.url.replace("https", "http"), TOKEN, idle=5)
    with pytest.raises(StorageError, match="does not answer"):
        client.call("GET", "/healthcheck")


def test_a_service_that_was_started_anew(tmp_path: Path) -> None:
    first = Served(tmp_path).start()
    port = int(first.url.rpartition(":")[2])
    client = first.client()
    store = HttpStore(client)
    [name] = store.put([b"data"])
    lease = store.lease([name])
    first.stop()
    with pytest.raises(StorageError, match="does not answer"):
        store.has([name])
    with Served(tmp_path, port=port):
        assert store.get([name]) == [b"data"]
        lease.renew(100)  # the new process knows nothing of it
        assert store.collect(0).leased == 1
        lease.release()
        assert store.collect(0).buffers == 1
        client.close()


class Liar(MemoryStore):
    """Gives bytes that were changed after the store had checked them: as a bad network would."""

    def get(self, checksums: object) -> list[bytes | None]:
        found = super().get(checksums)  # type: ignore[arg-type]
        return [None if data is None else b"X" + data[1:] for data in found]


def test_whatever_comes_is_verified(tmp_path: Path) -> None:
    liar = Liar()
    names = liar.put([b"small", bytes(3 * BLOCK)])
    service = ServiceThread(liar, None, TOKEN, bind("127.0.0.1", [0]))
    with service, HttpStore(Client(service.url, TOKEN)) as store:
        for name in names:
            with pytest.raises(StorageError, match="changed on"):
                store.get([name])
            with pytest.raises((StorageError, BufferMissingError)):
                store.extract(name, str(tmp_path / "file"))
        with pytest.raises(StorageError, match="changed on"):
            store.open(names[0])
        assert os.listdir(tmp_path) == []


def test_no_database_behind_a_store() -> None:
    service = ServiceThread(MemoryStore(), None, TOKEN, bind("127.0.0.1", [0]))
    missing = pytest.raises(UsageError, match="another version")
    with service, HttpDatabase(Client(service.url, TOKEN)) as database, missing:
        database.lookup([checksum(b"")])


def test_a_reader_reads_here_and_there(served: Served) -> None:
    data = os.urandom(12 * BLOCK + 99)
    [name] = served.store.put([data])
    with HttpStore(served.client()) as store, store.open(name) as reader:
        for start, count in ((0, 10), (11 * BLOCK, 2 * BLOCK), (5, BLOCK), (3 * BLOCK - 1, 2), (0, 5)):
            reader.seek(start)
            assert reader.read(count) == data[start : start + count]
        reader.seek(0)
        assert reader.read() == data
        reader.seek(2)
        assert reader.read() == data[2:]


@pytest.mark.real
@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_large_bodies_in_pieces_go_and_come_whole(tmp_path: Path, tls: bool) -> None:
    pieces: list[bytes | memoryview] = [
        b"head",
        memoryview(os.urandom(3 * BLOCK + 7)),
        b"",
        os.urandom(70_000),
        memoryview(bytearray(b"end")),
    ]
    whole = b"".join(pieces)
    with Served(tmp_path, tls=tls) as served:
        client = served.client()
        for body in (pieces, iter(pieces), whole):  # with a length, in chunks, at once
            assert client.call("POST", "/v1/buffers", body).body.decode().strip() == checksum(whole)  # type: ignore[arg-type]
        for _ in range(2):  # on a connection that is kept
            with client.exchange("GET", f"/v1/buffers/{checksum(whole)}") as answer:
                found = answer.whole()
            assert isinstance(found, memoryview) and found == whole
        client.close()


def test_a_forked_child_has_connections_of_its_own(served: Served) -> None:
    client = served.client()
    store = HttpStore(client)
    [name] = store.put([b"data"])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if store.get([name]) == [b"data"] else 2
        finally:
            os._exit(code)
    assert store.get([name]) == [b"data"]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.get([name]) == [b"data"]
    client.close()


def test_recalling_over_https_loads_little(served: Served) -> None:
    [name] = served.store.put([b"data"])
    program = f"""
import sys
from offload.http.client import Client
from offload.storage.http.store import HttpStore
from offload.storage.http.database import HttpDatabase
client = Client({served.url!r}, {TOKEN!r}, {credentials()[0]!r})
assert HttpDatabase(client).lookup([{name!r}]) == [None]
assert HttpStore(client).get([{name!r}]) == [b"data"]
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    modules = set(done.stdout.split())
    assert "ssl" in modules
    unwanted = "aiohttp asyncio email http.client json msgpack urllib.parse urllib.request sqlite3 logging typing"
    assert not modules & set(unwanted.split())


def test_a_service_that_is_stopping_is_away() -> None:
    """It answers so over connections that are open; who waits for it goes on waiting, and finds its successor."""
    body = b'{"error": "StorageError", "message": "the storage service is stopping", "hint": null}'
    stopping = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with Script(OK, stopping, OK) as server:
        client = Client(server.url, TOKEN)
        store = HttpStore(client)
        assert store.has([checksum(b"")]) == [True]
        with pytest.raises(StorageError, match="does not answer: the storage service is stopping") as caught:
            store.has([checksum(b"")])
        assert on_the_way(caught.value)
        assert Patience("the storage", print).ask(lambda: store.has([checksum(b"")])) == [True]
        client.close()
