"""The store and the database in memory: for tests, and for work that lasts no longer than its process."""

from __future__ import annotations

import time
from _thread import allocate_lock

from offload.errors import BufferMissingError, ChecksumMismatchError
from offload.identity.checksums import checksum as checksum_of
from offload.storage.database import (
    Database,
    Entry,
    Pruned,
    Result,
    Run,
    Transformation,
    check_record,
    judge,
)
from offload.storage.lineage import MADE, USED, host_mark, links, made, matches
from offload.storage.local.eviction import chosen, largest
from offload.storage.local.leases import Lease
from offload.storage.prefixes import only, prefix_range
from offload.storage.reader import BytesReader, Reader
from offload.storage.records import Collected, Usage
from offload.storage.store import Store
from offload.storage.user_files import open_file, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from offload.storage.local.eviction import Costs
    from offload.storage.local.pruning import Kept
    from offload.storage.store import Data


class MemoryStore(Store):
    """A store in memory. Large buffers are held whole; there is nothing that could corrupt them."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = allocate_lock()
        self._buffers: dict[str, bytes] = {}
        self._used: dict[str, float] = {}
        self._leases: dict[object, tuple[frozenset[str], float]] = {}

    def has(self, checksums: Sequence[str]) -> list[bool]:
        return [checksum in self._buffers for checksum in checksums]

    def resolve(self, digits: str) -> str | None:
        low, high = prefix_range(digits)
        with self._lock:
            return only([checksum for checksum in self._buffers if low <= checksum < high], digits)

    def sizes(self, checksums: Sequence[str]) -> list[int | None]:
        found = [self._buffers.get(checksum) for checksum in checksums]
        return [None if data is None else len(data) for data in found]

    def get(self, checksums: Sequence[str]) -> list[bytes | None]:
        now = self._clock()
        with self._lock:
            self._used.update((checksum, now) for checksum in checksums if checksum in self._buffers)
            return [self._buffers.get(checksum) for checksum in checksums]

    def put(self, buffers: Sequence[Data]) -> list[str]:
        checksums = []
        for buffer in buffers:
            data = buffer if isinstance(buffer, bytes) else b"".join(buffer)
            checksum = checksum_of(data)
            with self._lock:
                self._buffers.setdefault(checksum, data)
                self._used[checksum] = self._clock()
            checksums.append(checksum)
        return checksums

    def open(self, checksum: str) -> Reader:
        data = self.get([checksum])[0]
        if data is None:
            raise BufferMissingError(f"buffer {checksum} is not in the store")
        return BytesReader(checksum, data)

    def put_stream(self, chunks: Iterable[bytes | memoryview], expected: str | None = None) -> str:
        data = b"".join(chunks)
        checksum = checksum_of(data)
        if expected not in (None, checksum):
            raise ChecksumMismatchError(f"the stream has the checksum {checksum}, not {expected}")
        return self.put([data])[0]

    def put_file(self, path: str, expected: str | None = None) -> str:
        with open_file(path) as file:
            data = file.readall()
        checksum = checksum_of(data)
        if expected not in (None, checksum):
            raise ChecksumMismatchError(f"{path} has the checksum {checksum}, not {expected}")
        return self.put([data])[0]

    def extract(self, checksum: str, path: str, mode: int = 0o644) -> None:
        with self.open(checksum) as reader:
            write_file(reader, path, mode)

    def delete(self, checksums: Sequence[str]) -> int:
        with self._lock:
            leased = self._leased()
            gone = [c for c in dict.fromkeys(checksums) if c in self._buffers and c not in leased]
            for checksum in gone:
                del self._buffers[checksum], self._used[checksum]
        return len(gone)

    def _leased(self) -> set[str]:
        now = self._clock()
        return {checksum for checksums, expires in self._leases.values() if expires >= now for checksum in checksums}

    def lease(self, checksums: Sequence[str], seconds: float = 3600.0) -> Lease:
        holder, leased = object(), frozenset(checksums)

        def renewed(seconds: float) -> None:
            with self._lock:
                self._leases[holder] = (leased, self._clock() + seconds)

        def released() -> None:
            with self._lock:
                del self._leases[holder]

        renewed(seconds)
        return Lease(renewed, released)

    def usage(self) -> Usage:
        with self._lock:
            return Usage(len(self._buffers), sum(map(len, self._buffers.values())))

    def collect(self, max_size: int, dry_run: bool = False, costs: Costs | None = None) -> Collected:
        with self._lock:
            leased = self._leased()
            sizes = {checksum: len(data) for checksum, data in self._buffers.items()}
            rows = [(checksum, size, self._used[checksum]) for checksum, size in sizes.items()]
            found, spared = chosen(rows, leased, max_size, self._clock(), costs)
            gone = [checksum for checksum, _ in found]
            freed = sum(sizes[checksum] for checksum in gone)
            if not dry_run:
                for checksum in gone:
                    del self._buffers[checksum], self._used[checksum]
        shown = largest(gone, sizes) if dry_run else ()
        kept, left = len(sizes) - len(gone), sum(sizes.values()) - freed
        return Collected(len(gone), freed, kept, left, spared, largest=shown)

    def close(self) -> None:
        """Nothing to let go of."""


class MemoryDatabase(Database):
    """A database in memory."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = allocate_lock()
        self._results: dict[str, Result] = {}
        self._transformations: dict[str, Transformation] = {}
        self._runs: list[Run] = []

    def lookup(self, transformations: Sequence[str]) -> list[str | None]:
        found = self.results(transformations)
        return [row.result if row is not None and row.status == "complete" else None for row in found]

    def record(self, entries: Sequence[Entry]) -> list[str]:
        for entry in entries:
            check_record(entry)
        with self._lock:
            return [self._record(entry) for entry in entries]

    def _record(self, entry: Entry) -> str:
        known = self._results.get(entry.transformation)
        outcome, kept = judge(None if known is None else (known.result, known.status), entry)
        now = self._clock()
        if kept:
            self._results[entry.transformation] = Result(entry.result, entry.status, now)
        self._transformations.setdefault(
            entry.transformation,
            Transformation(
                entry.transformation, entry.kind, entry.label, entry.function, entry.record, entry.started or now
            ),
        )
        self._runs.append(
            Run(
                self._runs[-1].id + 1 if self._runs else 1,
                entry.transformation,
                entry.kind,
                entry.label,
                entry.result,
                entry.status,
                outcome,
                entry.started,
                entry.seconds,
                entry.details,
                False,
            )
        )
        return outcome

    def transformation(self, checksum: str) -> Transformation | None:
        low, high = prefix_range(checksum)
        with self._lock:
            found = only([key for key in self._transformations if low <= key < high], checksum)
            return None if found is None else self._transformations[found]

    def results(self, transformations: Sequence[str]) -> list[Result | None]:
        with self._lock:
            return [self._results.get(transformation) for transformation in transformations]

    def nearest(self, kind: str, label: str, limit: int = 20) -> list[Transformation]:
        with self._lock:
            rows = [row for row in self._transformations.values() if row.kind == kind and row.label == label]
        return rows[::-1][:limit]

    def producers(self, results: Sequence[str]) -> list[list[str]]:
        with self._lock:
            rows = sorted((row.recorded, key, row.result) for key, row in self._results.items())
        return [[key for _, key, other in rows if other == result] for result in results]

    def makers(self, checksums: Sequence[str]) -> list[list[str]]:
        return self._linked(MADE, checksums)

    def users(self, checksums: Sequence[str]) -> list[list[str]]:
        return self._linked(USED, checksums)

    def _linked(self, role: str, checksums: Sequence[str]) -> list[list[str]]:
        found: dict[str, dict[str, None]] = {checksum: {} for checksum in checksums}
        with self._lock:
            for run in reversed(self._runs):
                record = self._transformations[run.transformation].record
                for linked, checksum in links(run.kind, record, run.details):
                    if linked == role and checksum in found:
                        found[checksum][run.transformation] = None
        return [list(found[checksum]) for checksum in checksums]

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
        with self._lock:
            rows = [
                run
                for run in reversed(self._runs)
                if _fits(run, kind, label, text)
                and (since is None or run.started >= since)
                and (transformation is None or run.transformation == transformation)
                and (until is None or run.started < until)
                and (outcome is None or outcome == ("forgotten" if run.forgotten else run.outcome))
                and (host is None or host_mark(host) in run.details)
                and (pattern is None or matches(run.label, pattern))
            ]
        return rows[:limit]

    def forget(self, transformations: Sequence[str]) -> int:
        with self._lock:
            dropped = [self._results.pop(key, None) for key in transformations]
            for run in self._runs:
                run.forgotten = run.forgotten or run.transformation in transformations
        return sum(row is not None for row in dropped)

    def find(self, kind: str | None = None, label: str | None = None, text: str | None = None) -> list[str]:
        with self._lock:
            rows = [row for key, row in self._transformations.items() if key in self._results]
        return [row.checksum for row in reversed(rows) if _fits(row, kind, label, text)]

    def costs(self) -> Mapping[str, float]:
        found: dict[str, float] = {}
        with self._lock:
            for run in self._runs:
                for checksum in (run.result, *(made(run.details) if run.kind == "command" else ())):
                    found[checksum] = max(run.seconds, found.get(checksum, 0.0))
        return found

    def prune(self, before: float, kept: Kept, dry_run: bool = False) -> Pruned:
        with self._lock:
            old: set[int] = set()
            dead: list[str] = []
            for key in self._transformations:
                own = [run for run in self._runs if run.transformation == key]
                result = self._results.get(key)
                alive = result is not None and result.status == "complete" and kept([result.result])[0]
                young = any(run.started >= before or run is self._runs[-1] for run in own)
                if not alive and not young and key != next(reversed(self._transformations)):
                    old.update(run.id for run in own)
                    dead.append(key)
                    continue
                given = [run.id for run in own if result is not None and run.result == result.result]
                stay = {own[-1].id, *given[-1:]} if own else set()
                old.update(run.id for run in own if run.started < before and run.id not in stay)
            if not dry_run:
                self._runs = [run for run in self._runs if run.id not in old]
                for key in dead:
                    del self._transformations[key]
                    self._results.pop(key, None)
        return Pruned(len(old), len(dead))

    def statistics(self) -> dict[str, int]:
        with self._lock:
            statuses = [row.status for row in self._results.values()]
            return {
                "transformations": len(self._transformations),
                **{status: statuses.count(status) for status in ("complete", "scratch", "foreign")},
                "runs": len(self._runs),
                "irreproducible": sum(run.outcome == "irreproducible" for run in self._runs),
            }

    def close(self) -> None:
        """Nothing to let go of."""


def _fits(row: Run | Transformation, kind: str | None, label: str | None, text: str | None) -> bool:
    """Tell whether a row is one of those chosen by what `Database.runs` explains."""
    if kind is not None and row.kind != kind:
        return False
    if text is not None and text.lower() not in row.label.lower():
        return False
    if label is not None and label.endswith("*"):
        return row.label.startswith(label[:-1])
    return label is None or row.label == label
