"""``offload serve``, as a process: how it starts, what it tells, how it stops."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from offload.errors import StorageError
from offload.identity.checksums import BLOCK, checksum
from offload.storage.http.store import HttpStore
from offload.storage.local.store import DirectoryStore
from tests.conftest import Offload
from tests.storage.service.serving import ServiceProcess, raw

pytestmark = pytest.mark.real


def test_start_and_stop(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "one") as service:
        status = service.status()
        assert (status["status"], status["host"], status["pid"]) == ("running", "127.0.0.1", service.process.pid)
        assert stat.S_IMODE(service.token_file.stat().st_mode) == 0o600
        with HttpStore(service.client()) as store:
            assert store.put([b"data"]) == [checksum(b"data")]
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
        assert service.status()["status"] == "stopped"
        assert service.stderr.read_text().splitlines() == [
            f"offload serve: listening on http://127.0.0.1:{status['port']}",
            "offload serve: stopping (SIGTERM)",
            "offload serve: stopped",
        ]


def test_tls_by_itself(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "one", "--host", "localhost") as service:
        client = service.client()
        assert client.call("GET", "/healthcheck").body == b"OK"
        client.close()
        place = tmp_path / "one" / "home" / "service"
        assert {stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()} == {0o600}


def test_requests_may_end_when_it_stops(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "one") as service, HttpStore(service.client()) as store:

        def chunks() -> Iterator[bytes]:
            yield bytes(BLOCK)
            time.sleep(0.5)  # now the service is at it
            service.process.send_signal(signal.SIGTERM)
            time.sleep(1)
            yield bytes(BLOCK)

        assert store.put_stream(chunks()) == checksum(bytes(2 * BLOCK))
        assert service.process.wait(20) == 0
        with pytest.raises(StorageError, match="does not answer"):
            store.has([checksum(b"")])


def test_it_stops_when_nobody_asks(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "one", "--insecure", "--timeout", "0.5") as service:
        assert service.process.wait(20) == 0
        assert "stopping (idle)" in service.stderr.read_text()


def test_what_a_launcher_wrote_into_the_status_file_stays(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "status.json").write_text('{"status": "starting", "name": "mine"}')
    with ServiceProcess(tmp_path / "one") as service:
        assert service.status()["name"] == "mine"


def test_a_range_of_ports(tmp_path: Path, offload: Offload) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        done = offload("serve", "storage", "--insecure", "--port-range", f"{port}-{port}")
        assert done.returncode == 3
        assert b"no port is free" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--insecure", "--host", "0.0.0.0"], b"--i-know"),
        (["--insecure", "--host", "203.0.113.7", "--i-know"], b"an address of this machine"),
        (["--certificate", "x"], b"both --certificate and --key"),
        (["--certificate", "x", "--key", "y"], b"cannot be used"),
        (["--port", "1", "--port-range", "1-2"], b"either"),
        (["--host", "no such host"], b"is no address"),
    ],
)
def test_what_is_refused(offload: Offload, tmp_path: Path, options: list[str], message: bytes) -> None:
    done = offload("serve", "storage", "--status-file", tmp_path / "status", *options)
    assert done.returncode == 2
    assert message in done.stderr
    if "both" not in message.decode():
        assert b'"failed"' in (tmp_path / "status").read_bytes()


def test_a_token_that_others_can_read_is_refused(offload: Offload, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-that-all-can-read\n")
    (tmp_path / "token").chmod(0o644)
    done = offload("serve", "store", "--insecure", "--token-file", tmp_path / "token")
    assert done.returncode == 3
    assert b"others can read" in done.stderr
    assert b"a-token-that" not in done.stderr


def test_two_signals_stop_it_at_once(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "one") as service, HttpStore(service.client(idle=20.0)) as store:
        sent = threading.Event()

        def chunks() -> Iterator[bytes]:
            yield bytes(BLOCK)
            time.sleep(0.5)
            service.process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            service.process.send_signal(signal.SIGINT)
            sent.set()
            service.process.wait(20)
            yield bytes(BLOCK)

        with pytest.raises(StorageError, match="does not answer"):
            store.put_stream(chunks())
        assert sent.is_set()
        assert service.process.wait(20) == 130


def test_the_token_stands_in_no_argument_and_no_variable(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "one") as service:
        token = service.token_file.read_bytes().strip()
        for name in ("cmdline", "environ"):
            assert token not in Path(f"/proc/{service.process.pid}/{name}").read_bytes()


def test_two_services_on_one_store(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "one") as first:
        (tmp_path / "two").mkdir()
        os.symlink(tmp_path / "one" / "store", tmp_path / "two" / "store")
        with (
            ServiceProcess(tmp_path / "two") as second,
            HttpStore(first.client()) as one,
            HttpStore(second.client()) as two,
        ):
            [name] = one.put([bytes(2 * BLOCK)])
            assert two.get([name]) == [bytes(2 * BLOCK)]
            with one.lease([name]):
                assert two.collect(0).leased == 1
            assert two.collect(0).buffers == 1


def test_one_line_for_whatever_comes(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "one") as service:
        url = f"http://127.0.0.1:{service.port}"
        raw(url, b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        raw(url, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\n\r\n")
        client = service.client()
        [name] = HttpStore(client).put([bytes(50 * BLOCK)])
        lost = pytest.raises(ZeroDivisionError)
        with lost, client.exchange("GET", f"/v1/buffers/{name}") as answer:
            next(answer.chunks())
            raise ZeroDivisionError
        assert client.call("GET", "/healthcheck").body == b"OK"
        client.close()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
        lines = service.stderr.read_text().splitlines()
        assert all(line.startswith("offload serve: ") and len(line) < 600 for line in lines), lines
        assert len(lines) <= 6, lines


def test_a_store_whose_disk_is_away_is_served_when_it_is_back(tmp_path: Path) -> None:
    data = bytes(BLOCK)
    with DirectoryStore(str(tmp_path / "store")) as store:
        [name] = store.put([data])
    os.rename(tmp_path / "store" / "buffers", tmp_path / "aside")
    with ServiceProcess(tmp_path) as process, HttpStore(process.client()) as remote:
        with pytest.raises(StorageError, match="cannot be reached"):
            remote.get([name])
        os.rename(tmp_path / "aside", tmp_path / "store" / "buffers")
        assert remote.get([name]) == [data]
