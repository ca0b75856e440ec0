"""Making the database smaller: old runs go, and results that nobody can recall any more."""

from __future__ import annotations

from offload.storage.local.lineage_index import empty
from offload.storage.records import Pruned

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from offload.storage.sqlite.file import SqliteFile

    Kept = Callable[[Sequence[str]], Sequence[bool]]
    """Tells which buffers are in the store."""

BATCH = 1000
"""Transformations, or pages, of one transaction, so that others who want to write do not wait for long."""

_RESULTS = (
    "SELECT transformation.number, checksum, result, status FROM transformation"
    " JOIN result ON transformation = checksum WHERE transformation.number >= ? AND transformation.number < ?"
)
_RUNS = "SELECT id, number, result, started FROM run WHERE number >= ? AND number < ? ORDER BY id"


def prune(file: SqliteFile, before: float, kept: Kept, dry_run: bool) -> Pruned:
    """Remove runs that began before a time, and what is left without runs; see `Database.prune`."""
    # The newest of each stays, so that its number is not given to another.
    newest = file.query("SELECT coalesce(max(number), 0), (SELECT max(id) FROM run) FROM transformation")[0]
    total = Pruned(0, 0)
    for start in range(0, newest[0] + 1, BATCH):
        bounds = (start, start + BATCH)
        lost = _lost(file.query(_RESULTS, bounds), kept)
        with file.reading() if dry_run else file.writing() as connection:
            runs, dead = _old(connection, bounds, before, lost, newest)
            if not dry_run:
                connection.executemany("DELETE FROM run WHERE id = ?", runs)
                connection.executemany("DELETE FROM transformation WHERE number = ?", ((row[0],) for row in dead))
                connection.executemany("DELETE FROM result WHERE transformation = ?", ((row[1],) for row in dead))
        total = Pruned(total.runs + len(runs), total.results + len(dead))
    if total.runs and not dry_run:
        empty(file)
        shrink(file)
    return total


def _lost(rows: Iterable[tuple[int, str, str | None, str]], kept: Kept) -> set[tuple[int, str | None]]:
    """Give the numbers and results that cannot be recalled."""
    complete = [(number, result) for number, _, result, status in rows if status == "complete" and result is not None]
    there = kept([result for _, result in complete])
    alive = {one for one, known in zip(complete, there, strict=True) if known}
    return {(number, result) for number, _, result, _ in rows} - alive


def _old(
    connection: sqlite3.Connection,
    bounds: tuple[int, int],
    before: float,
    lost: set[tuple[int, str | None]],
    newest: tuple[int, int],
) -> tuple[list[tuple[int]], list[tuple[int, str]]]:
    """Give the runs to remove, and number and checksum of the transformations that go with all of theirs."""
    runs: dict[int, list[tuple[int, str, float]]] = {}
    for run, number, result, started in connection.execute(_RUNS, bounds):
        runs.setdefault(number, []).append((run, result, started))
    old: list[tuple[int]] = []
    dead = []
    for number, checksum, result, _ in connection.execute(_RESULTS, bounds):
        own = runs.get(number, [])
        young = number == newest[0] or any(started >= before or run == newest[1] for run, _, started in own)
        if not young and (number, result) in lost:
            old += [(run,) for run, _, _ in own]
            dead.append((number, checksum))
            continue
        # What is told of a result is told by its last run; the very last may have given another one.
        stay = {own[-1][0], *[run for run, given, _ in own if given == result][-1:]} if own else set()
        old += [(run,) for run, _, started in own if started < before and run not in stay]
    return old, dead


def shrink(file: SqliteFile, pages: int = BATCH) -> None:
    """Give the free pages of a SQLite file back to the file system, so many at a time."""
    while free := file.query("PRAGMA freelist_count")[0][0]:
        with file.writing() as connection:
            for _ in range(min(free, pages)):
                # Python takes one step of a statement without columns: with a larger number, too, this is one page.
                connection.execute("PRAGMA incremental_vacuum(1)")
        if pages < BATCH:
            file.query("PRAGMA wal_checkpoint(TRUNCATE)")
    file.query("PRAGMA wal_checkpoint(TRUNCATE)")
