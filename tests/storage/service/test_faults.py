"""What goes wrong on the way: nothing half-written is kept, nothing wrong is given, nobody waits for ever."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from offload.errors import BufferMissingError, DiskFullError, StorageError
from offload.http.client import Client
from offload.http.listen import bind
from offload.identity.checksums import BLOCK, checksum
from offload.storage.http.database import HttpDatabase
from offload.storage.http.server import bodies, transfer, uploads
from offload.storage.http.server.app import UPLOADS
from offload.storage.http.server.run import ServiceThread
from offload.storage.http.store import HttpStore
from offload.storage.memory import MemoryStore
from offload.storage.records import Usage
from offload.util.sparse import SparseWriter
from tests.storage.service.serving import TOKEN, Served, ServiceProcess
from tests.storage.test_database_contract import entry

HEAD = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path, tls=False) as served:
        yield served


@pytest.fixture
def store(served: Served) -> Iterator[HttpStore]:
    with HttpStore(served.client()) as store:
        yield store


def send(served: Served, text: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2])), 20)
    connection.sendall(text)
    return connection


def leftovers(directory: Path) -> list[Path]:
    """Files of buffers, and of buffers on their way."""
    return [path for name in ("tmp", "buffers") for path in (directory / name).rglob("*") if path.is_file()]


def wait_until_nothing_is_left(directory: Path) -> None:
    deadline = time.monotonic() + 20
    while leftovers(directory):
        assert time.monotonic() < deadline, leftovers(directory)
        time.sleep(0.02)


@pytest.mark.parametrize(
    "request_head",
    [
        f"PUT /v1/buffers/{checksum(b'x')} HTTP/1.1\r\n{HEAD}Content-Length: 300000\r\n\r\n",
        f"POST /v1/buffers HTTP/1.1\r\n{HEAD}Content-Length: 300000\r\n\r\n",
        f"POST /v1/buffers HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n40000\r\n",
        f"POST /v1/put HTTP/1.1\r\n{HEAD}Content-Length: 300000\r\n\r\n",
    ],
)
def test_a_body_that_breaks_off_leaves_nothing(
    served: Served, store: HttpStore, tmp_path: Path, request_head: str
) -> None:
    with send(served, request_head.encode() + b"\0\x03\0\0" + b"x" * 200_000):
        pass
    wait_until_nothing_is_left(tmp_path / "store")
    assert store.usage() == Usage(0, 0)


def test_a_client_that_falls_silent_is_given_up(
    served: Served, store: HttpStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "STALLED", 0.2)
    head = f"POST /v1/buffers HTTP/1.1\r\n{HEAD}Content-Length: 300000\r\n\r\n"
    with send(served, head.encode() + b"x" * 200_000) as connection:
        assert b"no byte for" in connection.recv(65536)
    wait_until_nothing_is_left(tmp_path / "store")
    assert store.usage() == Usage(0, 0)


def test_a_client_that_does_not_read_is_given_up(
    served: Served, store: HttpStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "STALLED", 0.2)
    [name] = served.store.put([bytes(40 * BLOCK)])
    count = 0
    with send(served, f"GET /v1/buffers/{name} HTTP/1.1\r\n{HEAD}\r\n".encode()) as connection:
        time.sleep(1)
        try:
            while data := connection.recv(1 << 20):
                count += len(data)
        except ConnectionResetError:
            pass
    assert count < 40 * BLOCK
    assert store.has([name]) == [True]


def test_slow_clients_hold_up_nobody(served: Served, store: HttpStore) -> None:
    head = f"POST /v1/buffers HTTP/1.1\r\n{HEAD}Content-Length: 300000\r\n\r\n".encode()
    slow = [send(served, head + b"x") for _ in range(40)] + [send(served, b"GET /v1") for _ in range(40)]
    assert store.put([b"quick"]) == [checksum(b"quick")]
    assert store.get([checksum(b"quick")]) == [b"quick"]
    for connection in slow:
        connection.close()


@pytest.mark.parametrize("large", [False, True])
def test_uploads_that_stall_hold_up_no_small_ones(
    served: Served, store: HttpStore, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PATIENCE", 60.0)
    count = 2 * BLOCK if large else 1000
    head = f"POST /v1/buffers HTTP/1.1\r\n{HEAD}Content-Length: {count + 1}\r\n\r\n".encode()
    slow = [send(served, head + bytes(count)) for _ in range(2 * UPLOADS)]
    assert store.put([b"quick"]) == [checksum(b"quick")]
    assert store.put_stream([b"stream"]) == checksum(b"stream")
    assert store.put_stream([b"named"], checksum(b"named")) == checksum(b"named")
    assert not select.select(slow, [], [], 0)[0]  # none has been given up meanwhile
    for connection in slow:
        connection.sendall(b"x")
    for connection in slow:
        assert b"201" in connection.recv(1000)
        connection.close()
    assert store.has([checksum(bytes(count) + b"x")]) == [True]


def test_uploads_that_stall_give_way_to_large_ones(
    served: Served, store: HttpStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PATIENCE", 0.2)
    monkeypatch.setattr(bodies, "STALLED", 1e6)
    size = 2 * BLOCK
    head = f"POST /v1/buffers HTTP/1.1\r\n{HEAD}Content-Length: {size + 1}\r\n\r\n".encode()
    slow = [send(served, head + bytes(size)) for _ in range(UPLOADS)]
    large = [bytes([number]) * (size + 1) for number in (1, 2, 3)]
    assert [store.put_stream([data]) for data in large] == list(map(checksum, large))
    given_up, _, _ = select.select(slow, [], [], 0)
    assert 1 <= len(given_up) <= len(large)  # no more than had to
    for connection in given_up:
        assert b"while others wait" in connection.recv(1000)
    for connection in slow:
        if connection not in given_up:
            connection.sendall(b"x")
            assert b"201" in connection.recv(1000)
        connection.close()


def test_the_source_of_a_stream_fails(store: HttpStore, tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * 300_000
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.put_stream(chunks())
    wait_until_nothing_is_left(tmp_path / "store")
    assert store.usage() == Usage(0, 0)


class Full(MemoryStore):
    """A store on a disk that is full."""

    def put(self, buffers: object) -> list[str]:
        raise DiskFullError("no space left in /data", "free some")

    def put_stream(self, chunks: Iterable[bytes | memoryview], expected: str | None = None) -> str:
        next(iter(chunks))
        raise DiskFullError("no space left in /data", "free some")


def test_a_full_disk_is_told_while_a_body_is_sent() -> None:
    service = ServiceThread(Full(), None, TOKEN, bind("127.0.0.1", [0]))
    with service, HttpStore(Client(service.url, TOKEN)) as store:
        for attempt in (lambda: store.put_stream(bytes(BLOCK) for _ in range(30)), lambda: store.put([b"small"])):
            with pytest.raises(DiskFullError, match="no space left in /data") as caught:
                attempt()
            assert caught.value.hint == "free some"
        assert store.has([checksum(b"small")]) == [False]


def test_a_wrong_token_is_told_while_a_body_is_sent(served: Served) -> None:
    refused = pytest.raises(StorageError, match="does not know this token")
    with HttpStore(Client(served.url, "a-token-from-elsewhere")) as store, refused:
        store.put_stream(bytes(BLOCK) for _ in range(30))
    assert served.store.usage() == Usage(0, 0)


def spoil(path: Path) -> None:
    """Change one byte, and nothing that a glance would show."""
    before = path.stat()
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(BLOCK + 5)
        file.write(b"!")
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("way", ["get", "open", "extract"])
def test_a_corrupt_buffer_is_missing(served: Served, store: HttpStore, tmp_path: Path, way: str, known: bool) -> None:
    data = bytes(3 * BLOCK)
    [name] = served.store.put([data])
    target = tmp_path / "out"
    if known:
        store.extract(name, str(target))
        target.unlink()
    spoil(tmp_path / "store" / "buffers" / name[:2] / name)
    if way == "get":
        assert store.get([name]) == [None]
    elif way == "open":
        with pytest.raises(BufferMissingError), store.open(name) as reader:
            reader.read()
    else:
        with pytest.raises(StorageError):
            store.extract(name, str(target))
        assert not target.exists()
    assert store.has([name]) == [False]
    assert store.usage() == Usage(0, 0, 1)
    assert store.put([data]) == [name]
    assert store.get([name]) == [data]


def test_many_clients_at_once(tmp_path: Path) -> None:
    with Served(tmp_path) as served:

        def work(worker: int) -> None:
            client = served.client()
            store, database = HttpStore(client), HttpDatabase(client)
            for number in range(10):
                buffers = [b"%d %d" % (worker, number), bytes([number]) * (2 * BLOCK + worker), b"ours %d" % number]
                names = store.put(buffers)
                assert store.get(names) == buffers
                with store.open(names[1]) as reader:
                    reader.seek(BLOCK)
                    assert reader.read(10) == buffers[1][:10]
                database.record([entry(number), entry(worker * 100 + number)])
                assert None not in database.lookup([entry(number).transformation])
            client.close()

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))
        assert served.store.usage().buffers == 6 * 20 + 10


@pytest.mark.real
def test_the_service_is_killed_while_it_takes_a_buffer(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "one") as first, HttpStore(first.client(idle=10.0)) as store:

        def chunks() -> Iterator[bytes]:
            for number in range(100):
                if number == 5:
                    first.process.kill()
                    first.process.wait(10)
                yield b"x" * BLOCK

        with pytest.raises(StorageError, match="does not answer"):
            store.put_stream(chunks())
        with pytest.raises(StorageError, match="does not answer"):
            store.has([checksum(b"")])
    with ServiceProcess(tmp_path / "one") as second, HttpStore(second.client()) as store:
        assert store.usage() == Usage(0, 0)
        assert store.put([b"again"]) == [checksum(b"again")]


@pytest.mark.real
def test_the_service_is_killed_while_it_gives_a_buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ServiceProcess(tmp_path / "one") as service:
        client = service.client(idle=10.0)
        [name] = HttpStore(client).put([bytes(100 * BLOCK)])

        def write(writer: SparseWriter, chunk: bytes) -> None:
            service.process.kill()

        monkeypatch.setattr(SparseWriter, "write", write)
        with pytest.raises(StorageError, match="does not answer"):
            HttpStore(client).extract(name, str(tmp_path / "out"))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["one"]


@pytest.mark.real
@pytest.mark.parametrize("options", [["--insecure"], []], ids=["plain", "tls"])
def test_large_buffers_take_little_memory(tmp_path: Path, options: list[str]) -> None:
    size = 200 * BLOCK
    chunk = os.urandom(BLOCK)
    service = ServiceProcess(tmp_path / "one", *(options or ["--port", "0"]))
    with service, HttpStore(service.client()) as store:
        store.put([chunk, b"small"])
        before = service.peak()
        name = store.put_stream(chunk for _ in range(size // BLOCK))
        count = 0
        with store.open(name) as reader:
            while data := reader.read(3 * BLOCK):
                count += len(data)
        store.extract(name, str(tmp_path / "out"))
        assert count == (tmp_path / "out").stat().st_size == size
        assert service.peak() - before < 64 * BLOCK
