"""A store and a database on another machine, as one that waits for them: what fails on the way is asked again."""

from __future__ import annotations

import time

from offload.errors import OffloadError, StorageError
from offload.storage.database import Database
from offload.storage.reader import Reader
from offload.storage.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from offload.storage.local.eviction import Costs
    from offload.storage.local.leases import Lease
    from offload.storage.local.pruning import Kept as KeptBuffers
    from offload.storage.records import Collected, Entry, Pruned, Result, Run, Transformation, Usage
    from offload.storage.store import Data

PATIENCE, PAUSE, TELL_AFTER = 120.0, 0.3, 2.0
"""Seconds for which storage that is away is looked for, between two tries, and until the user is told."""

LONG_PATIENCE = 1800.0
"""Seconds for which a service is waited for while somebody works at bringing it back."""


class NotUpError(StorageError):
    """A service is not there now, and is being brought back; the message says how far that is."""


def on_the_way(error: BaseException) -> bool:
    """Tell whether an error is trouble on the way to a service, and not the service's own finding."""
    return isinstance(error, NotUpError) or (type(error) is StorageError and error.__cause__ is not None)


class AwayError(OffloadError):
    """A service could not be reached for a long time."""


class Patience:
    """Waits for a service that is away, and says so.

    Parameters
    ----------
    name : str
        What is waited for, such as ``the storage of hpc``.
    say : callable
        Tells the user.
    reason : callable
        Gives what is known of why it is away, or "".
    patience : callable
        Gives for how many seconds in all it may be away, as it looks now.
    far : bool
        Whether it is on another machine: where the connection was cut, this shows for a while only in that it does not
        answer. Then the user is told so, too.
    """

    def __init__(
        self,
        name: str,
        say: Callable[[str], None],
        reason: Callable[[], str] = lambda: "",
        patience: Callable[[], float] = lambda: PATIENCE,
        far: bool = False,
    ) -> None:
        self._name = name
        self._say = say
        self._reason = reason
        self._patience = patience
        self._silent = far

    @property
    def heard(self) -> bool:
        """Whether it has answered, or is so near that it need not be waited for: then an answer may take its time."""
        return not self._silent

    def ask(
        self, what: Callable[[], Any], stop: Callable[[], bool] = lambda: False, seconds: float | None = None
    ) -> Any:
        """Return what a call gives; call it again while the service is away.

        Parameters
        ----------
        what : callable
            May be called several times.
        stop : callable
            Tells that it is not to be tried again.
        seconds : float, optional
            For how long it may be away, where that is known.

        Raises
        ------
        AwayError
            If it is away for too long; the message says why.
        """
        begun, told, patience = time.monotonic(), None, seconds or 0.0
        if self._silent:
            what = self._told_when_slow(what)
        while True:
            try:
                answer = what()
            except StorageError as error:
                if not on_the_way(error):
                    raise
                reason = error.message if isinstance(error, NotUpError) else self._reason()
                if seconds is None:  # once it was worth a long wait, it stays so
                    patience = max(patience, LONG_PATIENCE if isinstance(error, NotUpError) else self._patience())
                away = time.monotonic() - begun
                if away > patience or stop():
                    raise AwayError(
                        f"{self._name} has been away for {away:.0f} s: {reason or error.message}",
                        "offload status, offload logs",
                    ) from error
                if away > TELL_AFTER and reason != told:
                    self._say(f"{self._name} is away{': ' + reason if reason else ''}; waiting up to {patience:g} s")
                    told = reason
                time.sleep(PAUSE)
                continue
            if told is not None:
                self._say(f"{self._name} is there again")
            self._silent = False
            return answer

    def _told_when_slow(self, what: Callable[[], Any]) -> Callable[[], Any]:
        """Return a call that says so when its first answer takes long."""
        import threading

        def tell() -> None:
            reason = self._reason()
            self._say(f"{self._name} has not answered yet{': ' + reason if reason else ''}; still waiting")

        timer = threading.Timer(TELL_AFTER, tell)
        timer.daemon = True
        timer.start()

        def ask() -> Any:
            try:
                return what()
            finally:
                timer.cancel()

        return ask


class Kept:
    """A store or a database that is made when it is first needed, and again when it was away."""

    def __init__(self, make: Callable[[], Any], patience: Callable[[], Patience]) -> None:
        self._make = make
        self._patience = patience
        self._waits: Patience | None = None
        self._made: Any = None

    def ask(self, method: str, *arguments: Any) -> Any:
        return self.patiently(lambda: self.once(method, *arguments))

    def patiently(self, what: Callable[[], Any]) -> Any:
        waits = self._waits = self._waits or self._patience()
        return waits.ask(what)

    def once(self, method: str, *arguments: Any) -> Any:
        made = self._made
        if made is None:
            made = self._made = self._make()
        try:
            return getattr(made, method)(*arguments)
        except StorageError as error:
            if on_the_way(error):  # it may be somewhere else by now
                self._made = None
                made.close()
            raise

    def close(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            made.close()


class PatientStore(Store):
    """A store that is waited for.

    Parameters
    ----------
    make : callable
        Gives the store, on another machine; its methods may be called again when they have failed on the way.
    patience : callable
        Gives how it is waited for.
    """

    def __init__(self, make: Callable[[], Store], patience: Callable[[], Patience]) -> None:
        self._kept = Kept(make, patience)

    def has(self, checksums: Sequence[str]) -> list[bool]:
        answer: list[bool] = self._kept.ask("has", checksums)
        return answer

    def resolve(self, digits: str) -> str | None:
        answer: str | None = self._kept.ask("resolve", digits)
        return answer

    def sizes(self, checksums: Sequence[str]) -> list[int | None]:
        answer: list[int | None] = self._kept.ask("sizes", checksums)
        return answer

    def get(self, checksums: Sequence[str]) -> list[bytes | None]:
        answer: list[bytes | None] = self._kept.ask("get", checksums)
        return answer

    def put(self, buffers: Sequence[Data]) -> list[str]:
        answer: list[str] = self._kept.ask("put", buffers)
        return answer

    def open(self, checksum: str) -> Reader:
        return PatientReader(self._kept.ask("open", checksum), self._kept)

    def put_stream(self, chunks: Iterable[bytes | memoryview], expected: str | None = None) -> str:
        begun = False

        def watched() -> Iterator[bytes | memoryview]:
            nonlocal begun
            begun = True
            yield from chunks

        def send() -> Any:
            try:
                return self._kept.once("put_stream", watched(), expected)
            except StorageError as error:
                if begun and on_the_way(error):  # not again: chunks come once
                    raise StorageError(f"{error.message}: it went away in the middle of a stream", error.hint) from None
                raise

        answer: str = self._kept.patiently(send)
        return answer

    def put_file(self, path: str, expected: str | None = None) -> str:
        answer: str = self._kept.ask("put_file", path, expected)
        return answer

    def extract(self, checksum: str, path: str, mode: int = 0o644) -> None:
        self._kept.ask("extract", checksum, path, mode)

    def delete(self, checksums: Sequence[str]) -> int:
        answer: int = self._kept.ask("delete", checksums)
        return answer

    def lease(self, checksums: Sequence[str], seconds: float = 3600.0) -> Lease:
        from offload.storage.local.leases import Lease

        held: Lease = self._kept.ask("lease", checksums, seconds)

        def renewed(seconds: float) -> None:
            nonlocal held
            try:
                held.renew(seconds)
            except StorageError as error:
                if not on_the_way(error):
                    raise
                held = self._kept.ask("lease", checksums, seconds)

        return Lease(renewed, lambda: held.release())

    def usage(self) -> Usage:
        answer: Usage = self._kept.ask("usage")
        return answer

    def collect(self, max_size: int, dry_run: bool = False, costs: Costs | None = None) -> Collected:
        answer: Collected = self._kept.ask("collect", max_size, dry_run, costs)
        return answer

    def close(self) -> None:
        self._kept.close()


class PatientDatabase(Database):
    """A database that is waited for.

    Parameters
    ----------
    make : callable
        Gives the database, on another machine.
    patience : callable
        Gives how it is waited for.
    """

    def __init__(self, make: Callable[[], Database], patience: Callable[[], Patience]) -> None:
        self._kept = Kept(make, patience)

    def lookup(self, transformations: Sequence[str]) -> list[str | None]:
        answer: list[str | None] = self._kept.ask("lookup", transformations)
        return answer

    def record(self, entries: Sequence[Entry]) -> list[str]:
        # Recorded twice, an entry is the "same" the second time.
        answer: list[str] = self._kept.ask("record", entries)
        return answer

    def transformation(self, checksum: str) -> Transformation | None:
        answer: Transformation | None = self._kept.ask("transformation", checksum)
        return answer

    def results(self, transformations: Sequence[str]) -> list[Result | None]:
        answer: list[Result | None] = self._kept.ask("results", transformations)
        return answer

    def nearest(self, kind: str, label: str, limit: int = 20) -> list[Transformation]:
        answer: list[Transformation] = self._kept.ask("nearest", kind, label, limit)
        return answer

    def producers(self, results: Sequence[str]) -> list[list[str]]:
        answer: list[list[str]] = self._kept.ask("producers", results)
        return answer

    def makers(self, checksums: Sequence[str]) -> list[list[str]]:
        answer: list[list[str]] = self._kept.ask("makers", checksums)
        return answer

    def users(self, checksums: Sequence[str]) -> list[list[str]]:
        answer: list[list[str]] = self._kept.ask("users", checksums)
        return answer

    def runs(
        self,
        kind: str | None = None,
        label: str | None = None,
        text: str | None = None,
        since: float | None = None,
        limit: int = 50,
        transformation: str | None = None,
        until: float | None = None,
        outcome: str | None = None,
        host: str | None = None,
        pattern: str | None = None,
    ) -> list[Run]:
        wanted = (kind, label, text, since, limit, transformation, until, outcome, host, pattern)
        answer: list[Run] = self._kept.ask("runs", *wanted)
        return answer

    def forget(self, transformations: Sequence[str]) -> int:
        answer: int = self._kept.ask("forget", transformations)
        return answer

    def find(self, kind: str | None = None, label: str | None = None, text: str | None = None) -> list[str]:
        answer: list[str] = self._kept.ask("find", kind, label, text)
        return answer

    def costs(self) -> Mapping[str, float]:
        answer: Mapping[str, float] = self._kept.ask("costs")
        return answer

    def prune(self, before: float, kept: KeptBuffers, dry_run: bool = False) -> Pruned:
        answer: Pruned = self._kept.ask("prune", before, kept, dry_run)
        return answer

    def statistics(self) -> dict[str, int]:
        answer: dict[str, int] = self._kept.ask("statistics")
        return answer

    def close(self) -> None:
        self._kept.close()


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
