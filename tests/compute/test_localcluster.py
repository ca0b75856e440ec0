"""What the local cluster opens to others on this machine, and how it comes and goes."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from offload.engines.cluster_process import Scheduler, Worker
from offload.engines.local_cluster import LocalCluster
from offload.errors import OffloadError

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("home")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    made = LocalCluster(workers=2)
    yield made
    made.close()


def processes(cluster: LocalCluster) -> list[psutil.Process]:
    top = psutil.Process(cluster._process.pid)
    return [top, *top.children(recursive=True)]


@pytest.fixture(scope="module")
def ports(cluster: LocalCluster) -> list[int]:
    listening = [
        c.laddr for p in processes(cluster) for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3, "scheduler and two workers listen"
    assert {address.ip for address in listening} == {"127.0.0.1"}
    return sorted({address.port for address in listening})


def answer(connection: socket.socket, data: bytes) -> bytes:
    """What comes back, until the other side closes or has had enough time."""
    connection.settimeout(3)
    try:
        connection.sendall(data)
        return connection.recv(1000)
    except OSError:
        return b""


@pytest.mark.parametrize("data", [b"GET / HTTP/1.0\r\n\r\n", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", bytes(200)])
def test_plain_connections_get_nothing(ports: list[int], data: bytes) -> None:
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            got = answer(connection, data)
        # At most an alert of TLS (content type 21): no HTTP, no greeting of Dask.
        assert got == b"" or got[0] == 21


def test_tls_without_a_certificate_gets_nothing(ports: list[int]) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for port in ports:
        try:
            with (
                socket.create_connection(("127.0.0.1", port), 5) as connection,
                context.wrap_socket(connection) as wrapped,
            ):
                assert answer(wrapped, b"GET / HTTP/1.0\r\n\r\n") == b""
        except OSError:
            pass


def test_no_secrets_on_command_lines_and_in_environments(cluster: LocalCluster) -> None:
    for process in processes(cluster):
        told = " ".join(process.cmdline()) + " ".join(process.environ().values())
        assert "PRIVATE KEY" not in told
        assert "BEGIN CERTIFICATE" not in told


def test_the_import_path_is_not_left_to_programs_that_tasks_start(cluster: LocalCluster) -> None:
    for process in processes(cluster):
        assert process.environ().get("PYTHONPATH") == os.environ.get("PYTHONPATH")


def test_close_ends_every_process() -> None:
    made = LocalCluster(workers=1)
    started = processes(made)
    assert len(started) >= 2
    made.close()
    _, alive = psutil.wait_procs(started, timeout=10)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


def test_kill_ends_every_process() -> None:
    made = LocalCluster(workers=1)
    started = processes(made)
    made.kill()
    _, alive = psutil.wait_procs(started, timeout=10)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


def test_a_cluster_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "offload.engines.local_cluster._START", "import sys; sys.stderr.write('no room for workers'); sys.exit(3)"
    )
    with pytest.raises(OffloadError, match="did not start: no room for workers"):
        LocalCluster(workers=1)


def test_it_leaves_nothing_unclosed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    LocalCluster(workers=1).close()
    assert "ResourceWarning" not in capfd.readouterr().err


@pytest.mark.parametrize("end", [LocalCluster.close, LocalCluster.kill])
def test_no_temporary_file_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: Callable[[LocalCluster], None]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    made = LocalCluster(workers=1)
    try:
        assert list(tmp_path.iterdir())
    finally:
        end(made)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_closes_during_its_heartbeat_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def answer(**told: object) -> None:
            begun.set()
            await asyncio.sleep(600)

        async with (
            Scheduler(protocol="inproc", dashboard=False) as scheduler,
            Worker(scheduler.address, protocol="inproc") as worker,
        ):
            scheduler.handlers["heartbeat_worker"] = answer
            beating = asyncio.create_task(worker.heartbeat())
            await asyncio.wait_for(begun.wait(), 60)
            await worker.close()
            await asyncio.wait_for(beating, 60)

    asyncio.run(main())
    assert "heartbeat" not in caplog.text
