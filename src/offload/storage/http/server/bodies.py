"""Request bodies, read by the event loop and taken by a thread: stores are written for threads, and may block."""

from __future__ import annotations

import asyncio
import queue
from typing import TYPE_CHECKING

from offload.storage.http.protocol import PIECE, FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

AHEAD = 8
"""Pieces of a body that may wait for the thread; then the client has to."""

STALLED = 60.0
"""Seconds without a byte after which a client counts as gone."""


class BrokenOffError(Exception):
    """The client went away, or fell silent, in the middle of a body."""


class Pipe:
    """A body on its way from the event loop into a thread, which reads it as chunks, or so many bytes at a time.

    Attributes
    ----------
    silent_since : float or None
        When the event loop began to wait for the client, by its clock; None while it does not.
    gives_way : bool
        Whether the body has been broken off, since others wait.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._room = asyncio.Semaphore(AHEAD)
        self._queue: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()
        self._ended = False
        self._patience: asyncio.Timeout | None = None
        self._reason = f"no byte for {STALLED:g} s"
        self.silent_since: float | None = None
        self.gives_way = False
        self._come: asyncio.Future[bool] = loop.create_future()
        self._buffer = b""
        self._position = 0

    # In the event loop

    async def feed(self, request: web.Request) -> None:
        """Take the whole body of a request; what goes wrong is raised in the thread."""
        try:
            async with asyncio.timeout(None) as patience:
                self._patience = patience
                waiting: list[bytes] = []
                size = 0
                while True:
                    self.silent_since = self._loop.time()
                    patience.reschedule(self.silent_since + STALLED)
                    data = await request.content.readany()
                    self.silent_since, self.gives_way = None, False
                    if data:
                        waiting.append(data)
                        size += len(data)
                    if waiting and (size >= PIECE or not data):
                        patience.reschedule(None)  # from here on it is the store that takes its time
                        await self._room.acquire()
                        self._queue.put(b"".join(waiting) if len(waiting) > 1 else waiting[0])
                        waiting, size = [], 0
                        if data:
                            self._tell(whole=False)
                    if not data:
                        break
            self._queue.put(b"")
        except TimeoutError:
            self._queue.put(BrokenOffError(self._reason))
        except asyncio.CancelledError as error:
            self._queue.put(BrokenOffError("the client went away"))
            raise error
        except Exception as error:  # whatever a broken connection or a malformed body makes aiohttp raise
            self._queue.put(BrokenOffError(f"{type(error).__name__}: {error}"))
        finally:
            self._tell(whole=True)

    def give_way(self, reason: str) -> None:
        """Break off the body of a client that is silent, now."""
        assert self._patience is not None and self.silent_since is not None
        self.gives_way, self._reason = True, reason
        self._patience.reschedule(self._loop.time())

    def _tell(self, whole: bool) -> None:
        if not self._come.done():
            self._come.set_result(whole)

    async def is_small(self) -> bool:
        """Wait for the first piece; tell whether that is all, so that whoever takes it waits for no client."""
        return await asyncio.shield(self._come)

    # In the thread

    def _next(self) -> bytes:
        if self._ended:
            return b""
        item = self._queue.get()
        if isinstance(item, BaseException):
            self._ended = True
            raise item
        if item:
            self._loop.call_soon_threadsafe(self._room.release)
        else:
            self._ended = True
        return item

    def chunks(self) -> Iterator[bytes]:
        """Give the rest of the body."""
        while data := self._next():
            yield data

    def exactly(self, count: int) -> bytes:
        """Give the next `count` bytes.

        Raises
        ------
        FormatError
            The body ends before.
        """
        if len(self._buffer) - self._position < count:
            parts = [self._buffer[self._position :]]
            size = len(parts[0])
            while size < count:
                data = self._next()
                if not data:
                    raise FormatError("the body ends too early")
                parts.append(data)
                size += len(data)
            self._buffer, self._position = b"".join(parts), 0
        start = self._position
        self._position += count
        return self._buffer[start : self._position]

    @property
    def empty(self) -> bool:
        """Whether the body has been read to its end."""
        if self._position == len(self._buffer):
            self._buffer, self._position = self._next(), 0
        return not self._buffer
