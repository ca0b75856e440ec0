"""Services for tests: in a thread with TLS, and as a process of their own."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from offload.deploy.security.pki import create_authority, issue
from offload.http.client import Client
from offload.http.listen import bind, server_context
from offload.storage.http.database import HttpDatabase
from offload.storage.http.server.run import ServiceThread
from offload.storage.http.store import HttpStore
from offload.storage.local.database import SqliteDatabase
from offload.storage.local.store import DirectoryStore

TOKEN = "a-token-for-tests-only"


@functools.cache
def credentials() -> tuple[str, str, str]:
    """Paths of an authority's certificate, a server's certificate and its key."""
    directory = tempfile.mkdtemp(prefix="offload-tests-")
    atexit.register(shutil.rmtree, directory)
    authority = create_authority(directory)
    paths = issue(directory, "server", ["127.0.0.1"])
    return authority.certificate, paths.certificate, paths.key


class Served(ServiceThread):
    """A directory store and a database behind a service with TLS."""

    def __init__(
        self, directory: Path, clock: Callable[[], float] = time.time, tls: bool = True, port: int = 0
    ) -> None:
        self.store = DirectoryStore(str(directory / "store"), clock)
        self.database = SqliteDatabase(str(directory / "database.sqlite"), clock)
        _, certificate, key = credentials()
        context = server_context(certificate, key) if tls else None
        super().__init__(self.store, self.database, TOKEN, bind("127.0.0.1", [port]), context)

    def client(self, **more: float) -> Client:
        return Client(self.url, TOKEN, credentials()[0], **more)  # type: ignore[arg-type]

    def stop(self) -> None:
        super().stop()
        self.store.close()
        self.database.close()


class ServedStore(HttpStore):
    """The store of a service that ends with it."""

    def __init__(self, directory: Path, clock: Callable[[], float]) -> None:
        self.served = Served(directory, clock).start()
        super().__init__(self.served.client())

    def close(self) -> None:
        super().close()
        self.served.stop()


class ServedDatabase(HttpDatabase):
    """The database of a service that ends with it."""

    def __init__(self, directory: Path, clock: Callable[[], float]) -> None:
        self.served = Served(directory, clock).start()
        super().__init__(self.served.client())

    def close(self) -> None:
        super().close()
        self.served.stop()


class ServiceProcess:
    """``offload serve storage`` as a user starts it; a context manager."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.status_file = directory / "status.json"
        self.token_file = directory / "token"
        self.stderr = directory / "stderr"
        self._command = [
            str(Path(sys.executable).parent / "offload"),
            *("serve", "storage", "--buffers", str(directory / "store")),
            *("--database", str(directory / "database.sqlite"), "--port", "0"),
            *("--token-file", str(self.token_file), "--status-file", str(self.status_file)),
            *(options or ("--insecure",)),
        ]

    def __enter__(self) -> Self:
        self.directory.mkdir(exist_ok=True)
        environ = {**os.environ, "OFFLOAD_HOME": str(self.directory / "home")}
        with self.stderr.open("wb") as file:
            self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stderr=file, env=environ)
        deadline = time.monotonic() + 30
        while self.status().get("pid") != self.process.pid:
            assert self.process.poll() is None, self.stderr.read_text()
            assert time.monotonic() < deadline, self.stderr.read_text()
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(10)

    def status(self) -> dict[str, object]:
        if not self.status_file.exists():
            return {}
        found: dict[str, object] = json.loads(self.status_file.read_text())
        return found

    def client(self, **more: float) -> Client:
        token = self.token_file.read_text().strip()
        if "--insecure" in self._command:
            return Client(f"http://127.0.0.1:{self.port}", token, **more)  # type: ignore[arg-type]
        authority = str(self.directory / "home" / "service" / "ca.pem")
        return Client(f"https://127.0.0.1:{self.port}", token, authority, **more)  # type: ignore[arg-type]

    @property
    def port(self) -> int:
        port = self.status()["port"]
        assert isinstance(port, int)
        return port

    def peak(self) -> int:
        """The most memory, in bytes, that the process has had resident."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024


def raw(url: str, text: bytes) -> bytes:
    """Send bytes to a service without TLS and give all that comes back until it closes, or for 2 seconds."""
    host, port = url.rpartition("/")[2].rsplit(":", 1)
    with socket.create_connection((host, int(port)), 2) as connection:
        connection.sendall(text)
        answer = b""
        try:
            while data := connection.recv(65536):
                answer += data
        except (TimeoutError, ConnectionResetError):
            pass
        return answer
