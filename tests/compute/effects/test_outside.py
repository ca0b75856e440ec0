"""Connections and processes of a call."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

import offload
from offload.errors import NotRecordedWarning
from tests.compute.conftest import Log
from tests.compute.test_calls import mark

pytestmark = pytest.mark.usefixtures("home")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    """Where a server on this machine listens."""
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(60)


@offload.task
def doing(log: str, how: Callable[[Any], Any], what: Any) -> Any:
    mark(log)
    return how(what)


def fetch(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
        return bytes(answer.read())


def connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), 60).close()


def send_datagram(port: int) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        return sender.sendto(b"x", ("127.0.0.1", port))


def listen(port: int) -> None:
    socket.create_server(("127.0.0.1", 0)).close()


def look_up(port: int) -> None:
    try:
        socket.getaddrinfo("no-such-host.invalid", port)
    except OSError:
        pass


CONNECTIONS = [
    (fetch, "it connected to 127.0.0.1:"),
    (connect, "it connected to 127.0.0.1:"),
    (send_datagram, "it connected to 127.0.0.1:"),
    (listen, "it listened on 127.0.0.1:"),
    (look_up, "it connected to no-such-host.invalid"),
]


@pytest.mark.parametrize(("how", "told"), CONNECTIONS, ids=[how.__name__ for how, _ in CONNECTIONS])
def test_connections(how: Callable[[int], Any], told: str, port: int, log: Log) -> None:
    for _ in range(2):
        with pytest.warns(NotRecordedWarning, match=told):
            doing(log.path, how, port)
    assert log.runs == 2


def test_a_unix_socket(log: Log) -> None:
    path = os.path.join(os.path.dirname(log.path), "socket")

    def ask(path: str) -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        with pytest.warns(NotRecordedWarning, match=f"it connected to {path}"):
            doing(log.path, ask, path)


def run_program(path: str) -> bytes:
    return subprocess.run(["cat", path], stdout=subprocess.PIPE, check=True).stdout


def run_shell(path: str) -> int:
    return os.system(f"test -e {path}")


def run_pipe(path: str) -> str:
    with os.popen(f"cat {path}") as pipe:
        return pipe.read()


def run_spawn(path: str) -> int:
    return os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1]


def run_fork(path: str) -> int:
    child = os.fork()
    if not child:
        os._exit(0)
    return os.waitpid(child, 0)[1]


def run_multiprocessing(path: str) -> int | None:
    process = multiprocessing.get_context("spawn").Process(target=os.path.exists, args=(path,))
    process.start()
    process.join(60)
    return process.exitcode


PROCESSES = [run_program, run_shell, run_pipe, run_spawn, run_fork, run_multiprocessing]


@pytest.mark.parametrize("how", PROCESSES)
def test_processes(how: Callable[[str], Any], log: Log) -> None:
    for _ in range(2):
        with pytest.warns(NotRecordedWarning, match=r"it started '.*offload\.run"):
            doing(log.path, how, log.path)
    assert log.runs == 2


def test_processes_that_are_vouched_for(log: Log) -> None:
    vouched = offload.task(effects="ignore")(doing.function)
    assert vouched(log.path, run_program, "/dev/null") == vouched(log.path, run_program, "/dev/null") == b""
    assert log.runs == 1


def test_commands_of_offload(log: Log) -> None:
    """They are recorded by themselves, and what they read is an input of whoever asks for them."""

    @offload.task
    def count(log: str, path: Any) -> int:
        mark(log)
        return len(offload.run(["cat", path]).stdout)

    path = f"{log.path}.txt"
    with open(path, "w") as file:
        file.write("12345")
    for _ in range(2):
        assert count(log.path, offload.File(path)) == 5
    assert log.runs == 1
    with pytest.warns(NotRecordedWarning, match=f"it read {path}"):
        assert count(log.path, path) == 5


def test_what_is_asked_from_the_terminal(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    with pytest.warns(NotRecordedWarning, match="it asked for input"):
        assert doing(log.path, input, "sure? ") == "yes"
