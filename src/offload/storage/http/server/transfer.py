"""Bodies between the event loop and threads, with deadlines: whole small ones, and answers that come in chunks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from offload.errors import StorageError
from offload.storage.http.server.bodies import STALLED, BrokenOffError, Pipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor
    from typing import TypeVar

    from offload.storage.http.server.uploads import Uploads

    T = TypeVar("T")

LARGEST = 256 * 1024 * 1024
"""Bytes of the largest body that is taken as a whole: eight million checksums."""


class Threads:
    """Where blocking calls run: short ones, and uploads, which may last as long as their client wants.

    Parameters
    ----------
    calls : Executor
    uploads : Uploads
        Kept apart, so that slow uploads never hold up anything but large uploads.
    """

    def __init__(self, calls: Executor, uploads: Uploads) -> None:
        self.calls = calls
        self.uploads = uploads

    async def run(self, work: Callable[[], T]) -> T:
        """Make a blocking call."""
        return await asyncio.get_running_loop().run_in_executor(self.calls, work)


async def through_thread(request: web.Request, threads: Threads, work: Callable[[Pipe], T]) -> T:
    """Let a thread work on the body of a request: on a small one when it is there, on a large one while it comes in.

    So only large bodies, whose clients may be slow, take the threads that are for uploads.
    """
    loop = asyncio.get_running_loop()
    pipe = Pipe(loop)
    feeding = loop.create_task(pipe.feed(request))
    try:
        if await pipe.is_small():
            return await asyncio.shield(loop.run_in_executor(threads.calls, work, pipe))
        return await threads.uploads.run(pipe, work)
    except BrokenOffError as error:
        raise StorageError(f"the request broke off: {error}") from error
    finally:
        feeding.cancel()


async def whole_body(request: web.Request) -> bytes:
    """Read a request's body, at most `LARGEST` bytes (the app is told so)."""
    try:
        async with asyncio.timeout(5 * STALLED):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None


async def write(response: web.StreamResponse, chunk: bytes) -> None:
    """Write to a client that may be slow, but not for ever."""
    async with asyncio.timeout(STALLED):
        await response.write(chunk)


async def stream(
    request: web.Request, response: web.StreamResponse, threads: Threads, chunks: Iterator[bytes]
) -> web.StreamResponse:
    """Answer with chunks that a thread makes; the next one is made while one is sent.

    What fails before the first chunk is raised; after it, the connection is cut, so that nobody takes the part for
    the whole.
    """

    def step() -> bytes | None:
        return next(chunks, None)

    chunk = await threads.run(step)
    following: asyncio.Task[bytes | None] | None = None
    try:
        await response.prepare(request)
        while chunk is not None:
            following = asyncio.ensure_future(threads.run(step))
            await write(response, chunk)
            chunk = await following
        await response.write_eof()
    except BaseException as error:
        cut(request)
        if following is not None:
            await asyncio.wait([following])
        if isinstance(error, TimeoutError):
            raise ConnectionResetError("the client does not read") from error
        raise
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    return response


def cut(request: web.Request) -> None:
    """End a connection at once."""
    if request.transport is not None:
        request.transport.abort()
