"""A hashserver and a seamless-database for the Seamless side: started once, pointed at by SEAMLESS_REMOTE_CLIENTS.

That is Seamless's fastest way: it launches nothing and shakes hands with nobody, the servers are up and warm.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.harness import BenchmarkError, Environment


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Servers:
    """Both servers with their data in `directory`; a context manager.

    Attributes
    ----------
    variables : dict of str to str
        What a Seamless client needs in its environment.
    """

    def __init__(self, environment: Environment, directory: Path) -> None:
        (directory / "buffers").mkdir(parents=True)
        ports = [_free_port(), _free_port()]
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        buffer, database = ([{"readonly": False, "url": url, "remote_url": url}] for url in urls)
        self.variables = {"SEAMLESS_REMOTE_CLIENTS": json.dumps({"database": database, "buffer": buffer})}
        self._urls = urls
        name = environment.command
        self._commands = [
            [name("hashserver"), str(directory / "buffers"), "--writable", "--port", str(ports[0])],
            [name("seamless-database"), str(directory / "seamless.db"), "--writable", "--port", str(ports[1])],
        ]
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        quiet = subprocess.DEVNULL
        for command in self._commands:
            self._processes.append(subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet))
        try:
            for url in self._urls:
                self._wait(url + "/healthcheck")
        except BenchmarkError:
            self._stop()
            raise
        return self

    def _wait(self, url: str) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise BenchmarkError(f"the Seamless server at {url} does not come up: {error}") from error
                time.sleep(0.1)

    def _stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
