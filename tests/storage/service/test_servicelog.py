"""What services write: single lines, without secrets, few of a kind."""

from __future__ import annotations

import resource
import socket
import time
from pathlib import Path

import pytest

from offload.http import log
from offload.http.log import Limited
from tests.storage.service.serving import ServiceProcess


def test_one_line_of_a_kind_in_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    lines: list[str] = []
    limited = Limited(lines.append)
    for _ in range(1000):
        limited.say("a", "no more files")
    limited.say("b", "another")
    now += log.MINUTE
    limited.say("a", "no more files")
    assert lines == ["no more files", "another", "no more files (and 999 times more since the last such line)"]
    for number in range(1000):
        limited.say(f"kind {number}", "x")
    assert len(limited._last) <= 100


def port(service: ServiceProcess) -> int:
    return int(str(service.status()["port"]))


def test_out_of_files_a_service_says_so_once(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "s") as service:
        resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (40, 40))
        silent = [socket.create_connection(("127.0.0.1", port(service)), 10) for _ in range(60)]
        deadline = time.monotonic() + 20
        while "out of system resource" not in service.stderr.read_text():
            assert time.monotonic() < deadline, service.stderr.read_text()
            time.sleep(0.05)
        time.sleep(2.5)  # it tries again each second
        said = service.stderr.read_text()
        for connection in silent:
            connection.close()
    assert said.count("out of system resource") == 1
    assert "Traceback" not in said
    assert "Too many open files" in said


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer SECRET\r\n\r\n",
        b"GET /login?token=SECRET\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer SECRET\x00\r\n\r\n",
    ],
)
def test_a_token_in_what_cannot_be_read_is_neither_logged_nor_sent_back(tmp_path: Path, request_: bytes) -> None:
    with ServiceProcess(tmp_path / "s") as service:
        with socket.create_connection(("127.0.0.1", port(service)), 10) as connection:
            connection.sendall(request_)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.0 400 ")
        assert b"SECRET" not in answer
        assert b"aiohttp" not in answer
        deadline = time.monotonic() + 20
        while "error:" not in service.stderr.read_text():
            assert time.monotonic() < deadline, service.stderr.read_text()
            time.sleep(0.05)
        said = service.stderr.read_text()
    assert "SECRET" not in said
