"""The storage service beside hashserver and seamless-database: 10,000 small things, and one large buffer.

Each server runs in a process of its own, the client in another, over loopback. hashserver is asked as its own client
asks: `GET /has` with all checksums in one request, `PUT` and `GET` of one buffer each; seamless-database one result
at a time. Both are asked over one kept connection with Python's http.client, which is quicker than the client that
Seamless itself uses. offload is asked through its own client, which also verifies whatever it receives. The large
buffer is moved by curl on both sides (nothing is verified by it), so that the servers are compared, not the clients;
neither fsyncs (`--no-sync` here); both had room to write it in the page cache. TLS rows have the same plain peer.
Of the processor time that our server takes for the large buffer in, 44 % is SHA-256 (for the name, and for the digests
of each MiB, by which parts are verified later), and 18 % the copy into the page cache (perf, on the cores that curl
uses, too).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.harness import BenchmarkError, Context, Row, Sample, serve
from benchmarks.seamless_servers import Servers

MIB = 1 << 20


class Service:
    """``offload serve storage`` with its data in `directory`; a context manager."""

    def __init__(self, context: Context, directory: Path, *options: str) -> None:
        self._status = directory / "status.json"
        self._environ = context.environ(directory / "home")
        self.token = directory / "token"
        self.authority = directory / "home" / "service" / "ca.pem"
        self._secure = "--insecure" not in options
        self._command = [context.offload.command("offload"), "serve", "storage", "--no-sync", *options]
        self._command += ["--status-file", str(self._status), "--token-file", str(self.token)]

    def __enter__(self) -> Self:
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, stdin=quiet, stderr=quiet, env=self._environ)
        deadline = time.monotonic() + 30
        while not self._status.exists():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise BenchmarkError("offload serve does not come up")
            time.sleep(0.05)
        port = json.loads(self._status.read_text())["port"]
        self.url = f"{'https' if self._secure else 'http'}://127.0.0.1:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(30)


def _things(count: int) -> tuple[list[bytes], list[str]]:
    buffers = [os.urandom(1016) + b"%08d" % number for number in range(count)]
    return buffers, [hashlib.sha256(buffer).hexdigest() for buffer in buffers]


def _clock(figures: dict[str, float], name: str, action: Callable[[], object]) -> None:
    begin = time.perf_counter()
    action()
    figures[name] = time.perf_counter() - begin


def offload_side(url: str, token: str, authority: str, count: int) -> dict[str, float]:
    from offload.http.client import Client
    from offload.storage.database import Entry
    from offload.storage.http.database import HttpDatabase
    from offload.storage.http.store import HttpStore

    client = Client(url, Path(token).read_text().strip(), authority or None)
    store, database = HttpStore(client), HttpDatabase(client)
    buffers, names = _things(count)
    figures: dict[str, float] = {}
    _clock(figures, "put", lambda: store.put(buffers))
    _clock(figures, "get", lambda: store.get(names))
    asked = [*names[: count // 2], *(hashlib.sha256(name.encode()).hexdigest() for name in names[count // 2 :])]
    _clock(figures, "has", lambda: store.has(asked))
    if sum(store.has(asked)) != count // 2 or store.get(names[:100]) != buffers[:100]:
        raise ValueError("the store is wrong")
    entries = []
    for name in names:
        record = b"transformation " + name.encode()
        key = hashlib.sha256(record).hexdigest()
        entries.append(Entry(key, "python", "benchmark:work", None, record, name, started=1.0, details=b"\xa0"))
    keys = [entry.transformation for entry in entries]
    _clock(figures, "record", lambda: database.record(entries))
    _clock(figures, "lookup", lambda: database.lookup(keys))
    if database.lookup(keys) != names:
        raise ValueError("the database is wrong")
    client.close()
    return figures


def seamless_side(buffer_url: str, database_url: str, count: int, single: int) -> dict[str, float]:
    """Figures of `count` things; those asked one by one are measured for `single` of them, and scaled."""
    import http.client

    def connect(url: str) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(url.rpartition("/")[2], timeout=60)

    store, database = connect(buffer_url), connect(database_url)

    def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> bytes:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        data = response.read()
        if response.status >= 300:
            raise ValueError(f"{method} {path[:20]}: {response.status} {data[:100]!r}")
        return data

    buffers, names = _things(count)
    figures: dict[str, float] = {}
    some = list(zip(buffers, names, strict=True))[:single]
    _clock(figures, "put", lambda: [ask(store, "PUT", f"/{name}", buffer) for buffer, name in some])
    _clock(figures, "get", lambda: [ask(store, "GET", f"/{name}") for _, name in some])
    _clock(figures, "has", lambda: ask(store, "GET", "/has", json.dumps(names).encode()))
    keys = [hashlib.sha256(name.encode()).hexdigest() for name in names[:single]]

    def question(key: str, **more: str) -> bytes:
        return json.dumps({"type": "transformation", "checksum": key, **more}).encode()

    pairs = list(zip(keys, names, strict=False))
    _clock(figures, "record", lambda: [ask(database, "PUT", "/", question(key, value=name)) for key, name in pairs])
    _clock(figures, "lookup", lambda: [ask(database, "GET", "/", question(key)) for key in keys])
    for name in ("put", "get", "record", "lookup"):
        figures[name] *= count / single
    return figures


class Large:
    """One large buffer, moved by curl."""

    def __init__(self, context: Context, megabytes: int) -> None:
        here = context.directory("service-large")
        self.path, total = here / "data", hashlib.sha256()
        with self.path.open("wb") as file:
            for _ in range(megabytes):
                block = os.urandom(MIB)
                total.update(block)
                file.write(block)
        self.checksum = total.hexdigest()
        self._config = here / "curl"

    def curl(self, url: str, *options: str, token: str = "", authority: str = "") -> tuple[float, float]:
        """Return the seconds until the first byte and until the last."""
        lines = ['header = "Expect:"', f'header = "Authorization: Bearer {token}"'] if token else ['header = "Expect:"']
        self._config.write_text("\n".join([*lines, *([f'cacert = "{authority}"'] if authority else [])]))
        command = ["curl", "-sS", "-f", "-K", str(self._config), "-o", os.devnull]
        command += ["-w", "%{time_starttransfer} %{time_total}", *options, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise BenchmarkError(f"curl {url}: {done.stderr}")
        first, whole = map(float, done.stdout.split())
        return first, whole

    def measure(self, url: str, token: str = "", authority: str = "") -> dict[str, float]:
        """Put the buffer and get it twice: the first time and after that a server may do different things."""
        figures = {}
        _, figures["in"] = self.curl(url, "-T", str(self.path), token=token, authority=authority)
        figures["first byte"], figures["out"] = self.curl(url, token=token, authority=authority)
        return figures


def _large_rounds(context: Context, large: Large, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Measure all servers in turns, each on empty storage every time."""
    values: dict[str, dict[str, list[float]]] = {}

    def keep(side: str, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            values.setdefault(side, {}).setdefault(name, []).append(value)

    for _ in range(rounds):
        for side, options in (("plain", ("--insecure",)), ("tls", ())):
            here = context.directory("service")
            with Service(context, here, *options) as service:
                token, authority = service.token.read_text().strip(), str(service.authority) if side == "tls" else ""
                keep(side, large.measure(f"{service.url}/v1/buffers/{large.checksum}", token, authority))
            shutil.rmtree(here)
            os.sync()
        if context.seamless is not None:
            here = context.directory("service")
            with Servers(context.seamless, here) as servers:
                url = json.loads(servers.variables["SEAMLESS_REMOTE_CLIENTS"])["buffer"][0]["url"]
                keep("hashserver", large.measure(f"{url}/{large.checksum}"))
            shutil.rmtree(here)
            os.sync()
    return values


def _small_rounds(context: Context, count: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    values: dict[str, dict[str, list[float]]] = {}
    single = context.pick(2000, 500, 10)
    for _ in range(rounds):
        found: dict[str, dict[str, float]] = {}
        for side, options in (("plain", ("--insecure",)), ("tls", ())):
            here = context.directory("service")
            with Service(context, here, *options) as service:
                arguments = {"url": service.url, "token": service.token, "count": count}
                arguments["authority"] = service.authority if side == "tls" else ""
                environ = context.environ(here / "home")
                found[side] = context.side(context.offload, __file__, "offload", environ, **arguments)
        if context.seamless is not None:
            here = context.directory("service")
            with Servers(context.seamless, here) as servers:
                urls = json.loads(servers.variables["SEAMLESS_REMOTE_CLIENTS"])
                arguments = {"buffer_url": urls["buffer"][0]["url"], "database_url": urls["database"][0]["url"]}
                arguments |= {"count": count, "single": single}
                environ = context.environ(here / "home")
                found["seamless"] = context.side(context.seamless, __file__, "seamless", environ, **arguments)
        for side, figures in found.items():
            for name, value in figures.items():
                values.setdefault(side, {}).setdefault(name, []).append(value)
    return values


def _sample(values: dict[str, dict[str, list[float]]], side: str, name: str) -> Sample | None:
    found: Sequence[float] = values.get(side, {}).get(name, ())
    return Sample(tuple(found)) if found else None


def _rows(
    values: dict[str, dict[str, list[float]]],
    what: dict[str, str],
    budgets: dict[str, float],
    peer: tuple[str, dict[str, str]],
    command: str,
) -> list[Row]:
    rows = []
    for side, note in (("plain", ""), ("tls", "with TLS, which the peer does not have")):
        for name, text in what.items():
            ours = _sample(values, side, name)
            if ours is not None:
                budget = budgets.get(name) if side == "plain" else None
                theirs = _sample(values, peer[0], name)
                rows.append(Row(text, command, ours, peer[1].get(name, ""), theirs, at_most=budget, note=note))
    return rows


def measure(context: Context) -> list[Row]:
    count = context.pick(10_000, 10_000, 200)
    small = _small_rounds(context, count, context.pick(5, 3, 1))
    what = {
        "has": f"over the service: which of {count:,} buffers exist",
        "lookup": f"over the service: {count:,} results looked up",
        "record": f"over the service: {count:,} results recorded",
        "put": f"over the service: {count:,} buffers of 1 KB in",
        "get": f"over the service: {count:,} buffers of 1 KB out",
    }
    one_by_one = {"lookup": "seamless-database", "record": "seamless-database"}
    peers = {"has": "hashserver", "put": "hashserver", "get": "hashserver", **one_by_one}
    budgets = {"has": 1 / 50, "lookup": 1 / 20, "put": 1 / 20, "get": 1 / 20}
    command = "python benchmarks/run.py --only service"
    rows = _rows(small, what, budgets, ("seamless", peers), command)
    if shutil.which("curl") is None:
        return rows
    megabytes = context.pick(1024, 256, 4)
    values = _large_rounds(context, Large(context, megabytes), context.pick(5, 3, 1))
    what = {
        "in": f"over the service: one buffer of {megabytes} MiB in",
        "out": f"over the service: one buffer of {megabytes} MiB out",
        "first byte": f"over the service: first byte of a buffer of {megabytes} MiB",
    }
    names = dict.fromkeys(what, "hashserver")
    large = _rows(values, what, {"in": 1 / 2.5, "out": 1 / 2}, ("hashserver", names), command)
    first = _sample(values, "plain", "first byte")
    if first is not None:
        large.append(
            Row(f"over the service: first byte of a buffer of {megabytes} MiB", command, first, at_most_seconds=0.02)
        )
    return rows + large


if __name__ == "__main__":
    serve({"offload": offload_side, "seamless": seamless_side})
