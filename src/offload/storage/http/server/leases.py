"""Leases that clients hold over HTTP, by an identifier; one that is not renewed ends by itself."""

from __future__ import annotations

import os
import time
from _thread import allocate_lock
from typing import TYPE_CHECKING

from offload.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from offload.storage.local.leases import Lease
    from offload.storage.store import Store

LONGEST = 30 * 86400.0
"""Seconds of the longest lease."""


class Leases:
    """The leases of a store's clients. They end with this process: a client whose lease is unknown takes a new one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = allocate_lock()
        self._held: dict[str, tuple[Lease, float]] = {}

    def add(self, checksums: Sequence[str], seconds: float) -> str:
        """Lease buffers and give the identifier."""
        lease = self._store.lease(checksums, seconds)
        identifier = os.urandom(16).hex()
        with self._lock:
            self._held[identifier] = (lease, time.monotonic() + seconds)
        return identifier

    def renew(self, identifier: str, seconds: float) -> None:
        """Hold for so many seconds from now on."""
        with self._lock:
            held = self._held.get(identifier)
            if held is None:
                raise NotFoundError("there is no such lease")
            self._held[identifier] = (held[0], time.monotonic() + seconds)
        held[0].renew(seconds)

    def release(self, identifier: str) -> None:
        """End a lease; one that has ended is no error."""
        with self._lock:
            held = self._held.pop(identifier, None)
        if held is not None:
            held[0].release()

    def end(self, everything: bool = False) -> None:
        """Let go of those that have run out, or of all."""
        now = time.monotonic()
        with self._lock:
            over = [identifier for identifier, (_, until) in self._held.items() if everything or until < now]
        for identifier in over:
            self.release(identifier)


def seconds_of(request: web.Request) -> float:
    """Read for how long a request wants a lease."""
    try:
        seconds = float(request.query.get("lease", "3600"))
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= LONGEST:
        raise UsageError(f"a lease lasts more than 0 and at most {LONGEST:.0f} seconds")
    return seconds
