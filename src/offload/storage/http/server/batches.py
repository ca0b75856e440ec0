"""Many buffers in one request, and what concerns the store as a whole."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from aiohttp import web

from offload.errors import BufferMissingError, UsageError
from offload.storage.http import protocol
from offload.storage.http.rows import pack
from offload.storage.http.server.bodies import Pipe
from offload.storage.http.server.leases import seconds_of
from offload.storage.http.server.transfer import stream, through_thread, whole_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from offload.storage.database import Database
    from offload.storage.http.server.buffers import Buffers
    from offload.storage.http.server.leases import Leases
    from offload.storage.http.server.transfer import Threads
    from offload.storage.store import Store

_BATCH = 2000  # small buffers that are read or written together
_BYTES = 4 * protocol.PIECE  # and at most so many bytes of them


class Batches:
    """Answers the requests that take lists of checksums or of buffers."""

    def __init__(
        self, store: Store, threads: Threads, leases: Leases, buffers: Buffers, database: Database | None
    ) -> None:
        self._store = store
        self._threads = threads
        self._leases = leases
        self._buffers = buffers
        self._costs = None if database is None else database.costs

    def routes(self) -> list[web.RouteDef]:
        """Give the requests that are answered here."""
        asked = {"has": self._has, "sizes": self._sizes, "touch": self._touch, "check": self._check}
        return [
            *(web.post(f"/v1/{name}", self._answering(answer)) for name, answer in asked.items()),
            web.post("/v1/delete", self.delete),
            web.post("/v1/get", self.get),
            web.post("/v1/put", self.put),
            web.post("/v1/leases", self.lease),
            web.post("/v1/leases/{lease:[0-9a-f]{32}}", self.renew),
            web.delete("/v1/leases/{lease:[0-9a-f]{32}}", self.release),
            web.get("/v1/resolve", self.resolve),
            web.get("/v1/usage", self.usage),
            web.post("/v1/collect", self.collect),
        ]

    def _answering(self, answer: Callable[[list[str]], bytes]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            checksums = protocol.unpack_checksums(await whole_body(request))
            body = await self._threads.run(lambda: answer(checksums))
            return web.Response(body=body, content_type=protocol.BINARY)

        return handler

    def _has(self, checksums: list[str]) -> bytes:
        return bytes(self._store.has(checksums))

    def _sizes(self, checksums: list[str]) -> bytes:
        return protocol.pack_sizes(self._store.sizes(checksums))

    def _touch(self, checksums: list[str]) -> bytes:
        """Tell which buffers are there and good, so that they need not be sent, and note that these are used."""
        there = zip(checksums, self._store.has(checksums), strict=True)
        return bytes(known and self._buffers.check(checksum) for checksum, known in there)

    def _check(self, checksums: list[str]) -> bytes:
        return bytes(map(self._buffers.check, checksums))

    async def delete(self, request: web.Request) -> web.Response:
        """Remove buffers; tells how many."""
        checksums = protocol.unpack_checksums(await whole_body(request))
        return await self._row(lambda: self._store.delete(checksums))

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Give many whole buffers, as frames."""
        checksums = protocol.unpack_checksums(await whole_body(request))
        response = web.StreamResponse()
        response.content_type = protocol.FRAMES
        return await stream(request, response, self._threads, _frames(self._store, checksums))

    async def put(self, request: web.Request) -> web.Response:
        """Keep many buffers that come as frames; gives their checksums."""
        checksums = await through_thread(request, self._threads, lambda pipe: _take(self._store, pipe))
        return web.Response(body=protocol.pack_checksums(checksums), content_type=protocol.BINARY)

    async def lease(self, request: web.Request) -> web.Response:
        """Lease buffers."""
        checksums, seconds = protocol.unpack_checksums(await whole_body(request)), seconds_of(request)
        identifier = await self._threads.run(lambda: self._leases.add(checksums, seconds))
        return web.Response(status=201, headers={protocol.LEASE: identifier})

    async def renew(self, request: web.Request) -> web.Response:
        """Renew a lease."""
        seconds = seconds_of(request)
        await self._threads.run(lambda: self._leases.renew(request.match_info["lease"], seconds))
        return web.Response(status=204)

    async def release(self, request: web.Request) -> web.Response:
        """End a lease."""
        await self._threads.run(lambda: self._leases.release(request.match_info["lease"]))
        return web.Response(status=204)

    async def resolve(self, request: web.Request) -> web.Response:
        """Find a buffer by its first digits."""
        return await self._row(lambda: self._store.resolve(request.query.get("digits", "")))

    async def usage(self, _: web.Request) -> web.Response:
        """Count what there is."""
        return await self._row(self._store.usage)

    async def collect(self, request: web.Request) -> web.Response:
        """Remove what has long been unused."""
        try:
            limit = min(int(request.query["max_size"]), 2**63 - 1)
        except (KeyError, ValueError):
            raise UsageError("max_size is a number of bytes") from None
        dry_run = request.query.get("dry_run") == "1"
        return await self._row(lambda: self._store.collect(limit, dry_run, self._costs))

    async def _row(self, work: Callable[[], object]) -> web.Response:
        return web.Response(body=pack(await self._threads.run(work)), content_type=protocol.ROWS)


def _frames(store: Store, checksums: Sequence[str]) -> Iterator[bytes]:
    """Give buffers as frames: small ones many at a time, large ones piece by piece."""
    for start in range(0, len(checksums), _BATCH):
        batch: list[str] = []
        size = 0
        part = checksums[start : start + _BATCH]
        for checksum, length in zip(part, store.sizes(part), strict=True):
            large = length is not None and length > protocol.PIECE
            if batch and (large or size + (length or 0) > _BYTES):
                yield b"".join(map(protocol.small_frame, store.get(batch)))
                batch, size = [], 0
            if large:
                yield from _large(store, checksum)
            else:
                batch.append(checksum)
                size += length or 0
        if batch:
            yield b"".join(map(protocol.small_frame, store.get(batch)))


def _large(store: Store, checksum: str) -> Iterator[bytes]:
    try:
        with store.open(checksum) as reader:
            while data := reader.read(protocol.PIECE):
                yield protocol.piece(data)
        yield protocol.END
    except BufferMissingError:
        yield protocol.BROKEN


def _take(store: Store, pipe: Pipe) -> list[str]:
    """Put buffers that come as frames: small ones many at a time, large ones as they come."""
    answers: list[str] = []
    batch: list[bytes] = []
    places: list[int] = []
    size = 0

    def keep() -> None:
        for place, checksum in zip(places, store.put(batch), strict=True):
            answers[place] = checksum
        batch.clear()
        places.clear()

    try:
        while not pipe.empty:
            parts = protocol.pieces(pipe)
            first = next(parts, b"")
            second = next(parts, None)
            if second is None:
                batch.append(first)
                places.append(len(answers))
                answers.append("")
                size += len(first)
            else:
                answers.append(store.put_stream(chain((first, second), parts)))
            if size >= _BYTES or len(batch) >= _BATCH:
                keep()
                size = 0
    except protocol.BufferGoneError:
        raise protocol.FormatError("a buffer to put is missing") from None
    keep()
    return answers
