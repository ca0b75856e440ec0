"""Reading a buffer of a storage service as a binary file: blocks are fetched when they are read, and verified."""

from __future__ import annotations

import time

from offload.identity.checksums import BLOCK
from offload.storage.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.storage.local.leases import Lease

HELD = 3600.0
"""Seconds for which a buffer is held for a reader; renewed while it reads."""

_AHEAD = 4  # blocks fetched at once by who reads one after the other


class RemoteReader(Reader):
    """Reads a buffer in ranges.

    Parameters
    ----------
    checksum, size
        As for `Reader`.
    fetch : callable
        Gives the verified bytes from a start to a stop.
    lease : Lease
        Holds the buffer; released when the reader is closed.
    first : bytes
        The start of the buffer, as far as it is known.
    """

    def __init__(
        self, checksum: str, size: int, fetch: Callable[[int, int], bytes], lease: Lease, first: bytes
    ) -> None:
        super().__init__(checksum, size)
        self._fetch = fetch
        self._lease = lease
        self._renewed = time.monotonic()
        self._fetched = (0, first)
        self._last = 0

    def _block(self, index: int) -> bytes:
        start, data = self._fetched
        offset = index * BLOCK - start
        if not 0 <= offset < len(data):
            if time.monotonic() - self._renewed > HELD / 4:
                self._lease.renew(HELD)
                self._renewed = time.monotonic()
            blocks = _AHEAD if index == self._last + 1 else 1
            start, offset = index * BLOCK, 0
            data = self._fetch(start, min(start + blocks * BLOCK, self.size))
            self._fetched = (start, data)
        self._last = index
        return data[offset : offset + BLOCK]

    def _part(self, start: int, stop: int) -> bytes:
        index = start // BLOCK
        # What was read once is not kept, so it is fetched, and verified, again.
        data = self._block(index)
        self._current = (index, data)
        return data[start - index * BLOCK : stop - index * BLOCK]

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._fetched = (0, b"")
            self._lease.release()
