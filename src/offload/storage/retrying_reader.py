"""Reading a buffer of a store that may go away meanwhile: it is opened again, and read on."""

from __future__ import annotations

from offload.errors import StorageError
from offload.storage.reader import Reader
from offload.storage.retrying import on_the_way

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.storage.retrying import Kept


class PatientReader(Reader):
    """Reads through another reader, and through the next one where that has lost its store.

    Parameters
    ----------
    reader : Reader
        Closed with this one.
    kept : Kept
        The store, which opens others.
    """

    def __init__(self, reader: Reader, kept: Kept) -> None:
        super().__init__(reader.checksum, reader.size)
        self.descriptor = reader.descriptor
        self._kept = kept
        self._reader: Reader | None = reader

    def _block(self, index: int) -> bytes:
        return self._ask(lambda reader: reader._block(index))

    def _part(self, start: int, stop: int) -> bytes:
        return self._ask(lambda reader: reader._part(start, stop))

    def _ask(self, what: Callable[[Reader], bytes]) -> bytes:
        def once() -> bytes:
            if self._reader is None:
                self._reader = self._kept.once("open", self.checksum)
            try:
                return what(self._reader)
            except StorageError as error:
                if on_the_way(error):  # what holds the buffer for it ends by itself
                    self._reader = None
                raise

        answer: bytes = self._kept.patiently(once)
        return answer

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self._reader is not None:
                self._reader.close()
