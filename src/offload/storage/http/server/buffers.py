"""Single buffers over HTTP: whole or in ranges, streamed both ways."""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

from aiohttp import web

from offload.errors import BufferMissingError
from offload.storage.http import protocol
from offload.storage.http.server.bodies import STALLED, Pipe
from offload.storage.http.server.transfer import cut, stream, through_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from offload.storage.http.server.leases import Leases
    from offload.storage.http.server.transfer import Threads
    from offload.storage.reader import Reader
    from offload.storage.store import Store

AT_ONCE = 4 * protocol.PIECE
"""Bytes of the longest range that is read as a whole, to give its digest before it."""

_SLICE = 8 * protocol.PIECE  # what the kernel sends before we look whether the client still reads
_REMEMBERED = 10_000


class Buffers:
    """Answers requests for single buffers.

    A file is verified, block by block, when it is first sent; it is remembered by inode, size and times, and from then
    on the kernel sends it (without TLS) or it is read without hashing (with TLS). The client checks in any case.
    """

    def __init__(self, store: Store, threads: Threads, leases: Leases) -> None:
        self._store = store
        self._threads = threads
        self._leases = leases
        self._verified: dict[str, tuple[int, ...]] = {}

    def routes(self) -> list[web.RouteDef]:
        """Give the requests that are answered here."""
        one = "/v1/buffers/{checksum:[0-9a-f]{64}}"
        return [
            web.get(one, self.download, allow_head=False),
            web.head(one, self.head),
            web.put(one, self.upload),
            web.post("/v1/buffers", self.upload),
        ]

    async def upload(self, request: web.Request) -> web.Response:
        """Keep a buffer; its name is known (PUT) or found out (POST)."""
        expected = request.match_info.get("checksum")

        def work(pipe: Pipe) -> str:
            name = self._store.put_stream(pipe.chunks(), expected)
            if expected is not None:
                self._written(name)
            return name

        return web.Response(status=201, text=await through_thread(request, self._threads, work) + "\n")

    def _written(self, checksum: str) -> None:
        """Remember that a file is good, because it was just written, or compared with what came."""
        try:
            with self._store.open(checksum) as reader:
                if reader.descriptor is not None:
                    self._remember(checksum, _state(reader.descriptor))
        except BufferMissingError:
            return  # collected in this very moment

    async def head(self, request: web.Request) -> web.Response:
        """Tell a buffer's size."""
        checksum = request.match_info["checksum"]
        size = (await self._threads.run(lambda: self._store.sizes([checksum])))[0]
        if size is None:
            return web.Response(status=404)
        return web.Response(headers={**_headers(checksum), "Content-Length": str(size)})

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Give a buffer, or a range of it; with ``?lease=SECONDS``, hold it if this is not all of it."""
        checksum = request.match_info["checksum"]
        reader = await self._threads.run(lambda: self._store.open(checksum))
        try:
            return await self._send(request, reader)
        finally:
            await asyncio.shield(self._threads.run(reader.close))

    async def _send(self, request: web.Request, reader: Reader) -> web.StreamResponse:
        headers = _headers(reader.checksum)
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        start, stop = _range(request, reader.size)
        whole = (start, stop) == (0, reader.size)
        if not whole:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{reader.size}"
            seconds = _seconds(request)
            if seconds:
                headers[protocol.LEASE] = await self._threads.run(lambda: self._leases.add([reader.checksum], seconds))
        if stop - start <= AT_ONCE and (not whole or reader.size < protocol.PIECE):
            data = await self._threads.run(lambda: _read(reader, start, stop))
            if "sha-256" in request.headers.get("Want-Content-Digest", ""):
                headers["Content-Digest"] = f"sha-256=:{b64encode(sha256(data).digest()).decode()}:"
            return web.Response(status=200 if whole else 206, body=data, headers=headers, content_type=protocol.BINARY)
        response = web.StreamResponse(status=200 if whole else 206, headers=headers)
        response.content_type = protocol.BINARY
        response.content_length = stop - start
        state = None if reader.descriptor is None else _state(reader.descriptor)
        if state is None or self._verified.get(reader.checksum) != state:
            await stream(request, response, self._threads, _chunks(reader, start, stop))
            if whole and state is not None:
                self._remember(reader.checksum, state)
        elif request.secure:
            await stream(request, response, self._threads, _unchecked(reader, start, stop))
        else:
            await _by_kernel(request, response, reader, start, stop)
        return response

    def _remember(self, checksum: str, state: tuple[int, ...]) -> None:
        while len(self._verified) >= _REMEMBERED:
            self._verified.pop(next(iter(self._verified)))
        self._verified[checksum] = state

    def check(self, checksum: str) -> bool:
        """Read a buffer whole, which may be damaged; tells whether it is there and good."""
        self._verified.pop(checksum, None)
        try:
            with self._store.open(checksum) as reader:
                while reader.read(protocol.PIECE):
                    pass
                if reader.descriptor is not None:
                    self._remember(checksum, _state(reader.descriptor))
        except BufferMissingError:
            return False
        return True


def _headers(checksum: str) -> dict[str, str]:
    return {"ETag": f'"{checksum}"', "Accept-Ranges": "bytes", "Cache-Control": "private, immutable"}


def _range(request: web.Request, size: int) -> tuple[int, int]:
    """Give the asked-for range, as start and stop; all of it when there is none. No bytes have no ranges."""
    try:
        asked = request.http_range
    except ValueError:
        asked = slice(size, None)
    if size == 0 or (asked.start is None and asked.stop is None):
        return 0, size
    start = asked.start or 0
    if start < 0:
        start = max(size + start, 0)
    stop = size if asked.stop is None else min(asked.stop, size)
    if start >= stop:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return start, stop


def _seconds(request: web.Request) -> float:
    from offload.storage.http.server.leases import seconds_of

    return seconds_of(request) if "lease" in request.query else 0.0


def _state(descriptor: int) -> tuple[int, ...]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read(reader: Reader, start: int, stop: int) -> bytes:
    reader.seek(start)
    return reader.read(stop - start)


def _chunks(reader: Reader, start: int, stop: int) -> Iterator[bytes]:
    reader.seek(start)
    while start < stop:
        # Up to the end of a block, so that each is read once.
        chunk = reader.read(min(stop - start, protocol.PIECE - start % protocol.PIECE))
        start += len(chunk)
        yield chunk


def _unchecked(reader: Reader, start: int, stop: int) -> Iterator[bytes]:
    assert reader.descriptor is not None
    while start < stop:
        chunk = os.pread(reader.descriptor, min(stop - start, protocol.PIECE), start)
        if not chunk:
            raise BufferMissingError(f"buffer {reader.checksum} became shorter")
        start += len(chunk)
        yield chunk


async def _by_kernel(request: web.Request, response: web.StreamResponse, reader: Reader, start: int, stop: int) -> None:
    assert reader.descriptor is not None
    loop = asyncio.get_running_loop()
    await response.prepare(request)
    transport = request.transport
    try:
        if transport is None:
            raise ConnectionResetError("the client went away")
        with os.fdopen(os.dup(reader.descriptor), "rb", buffering=0) as file:
            while start < stop:
                async with asyncio.timeout(5 * STALLED):
                    sent = await loop.sendfile(transport, file, start, min(_SLICE, stop - start))
                if not sent:
                    raise ConnectionResetError(f"buffer {reader.checksum} became shorter")
                start += sent
        await response.write_eof()
    except BaseException as error:
        cut(request)
        if isinstance(error, TimeoutError):
            raise ConnectionResetError("the client does not read") from error
        raise
