"""Leases on the buffers of a directory store, and removing buffers without ever taking a leased one."""

from __future__ import annotations

import os

from offload.errors import DiskFullError
from offload.storage.adoption import adopt, is_known
from offload.storage.eviction import chosen, largest
from offload.storage.filesystems import translated
from offload.storage.leases import Lease, may_live, this_process
from offload.storage.pruning import shrink
from offload.storage.rows import Collected

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from offload.storage.eviction import Costs
    from offload.storage.index import Index

_BATCH = 1000  # buffers removed in one transaction, so that writers never wait long
_FEW = 10  # buffers, or pages, of one transaction where there is hardly room for its log
_STALE = 86400.0  # seconds after which a temp file, or a file without a row, belongs to nobody
_EVIDENCE = 30 * 86400.0  # seconds for which corrupt buffers are kept


def lease(index: Index, checksums: Sequence[str], seconds: float) -> Lease:
    """Lease buffers of a store to this process."""
    holder = os.urandom(16).hex()
    pairs = [(checksum, holder) for checksum in dict.fromkeys(checksums)]

    def renewed(seconds: float) -> None:
        with index.file.writing() as connection:
            row = (holder, *this_process(), index.clock() + seconds)
            connection.execute("INSERT OR REPLACE INTO holder VALUES (?, ?, ?, ?, ?)", row)
            connection.executemany("INSERT OR IGNORE INTO lease VALUES (?, ?)", pairs)

    def released() -> None:
        with index.file.writing() as connection:
            connection.executemany("DELETE FROM lease WHERE checksum = ? AND holder = ?", pairs)
            connection.execute("DELETE FROM holder WHERE id = ?", (holder,))

    renewed(seconds)
    return Lease(renewed, released)


def _end_dead_leases(connection: sqlite3.Connection, now: float) -> None:
    dead = [
        (holder,)
        for holder, host, pid, started, expires in connection.execute("SELECT * FROM holder").fetchall()
        if expires < now or not may_live(host, pid, started)
    ]
    if dead:
        connection.executemany("DELETE FROM holder WHERE id = ?", dead)
        connection.execute("DELETE FROM lease WHERE holder NOT IN (SELECT id FROM holder)")


def delete(index: Index, checksums: Sequence[str]) -> int:
    """Remove buffers, except leased ones. Gives the number removed."""
    removed = 0
    for start in range(0, len(checksums), _BATCH):
        removed += len(_remove(index, [(checksum, None) for checksum in checksums[start : start + _BATCH]]))
    return removed


def _remove(index: Index, candidates: Sequence[tuple[str, float | None]]) -> list[str]:
    """Remove buffers that are not leased and, where a time is given, have not been used since."""
    removed = []
    with index.file.writing() as connection:
        _end_dead_leases(connection, index.clock())
        for checksum, last in candidates:
            row = connection.execute(
                "SELECT used, packed FROM buffer WHERE checksum = ?1"
                " AND NOT EXISTS (SELECT 1 FROM lease WHERE checksum = ?1)",
                (checksum,),
            ).fetchone()
            if row is None or (last is not None and row[0] != last):
                continue
            index.drop(connection, checksum)
            # Before the commit: after it, another process may have put the same buffer again.
            if row[1] is None:
                index.files.remove(checksum)
            removed.append(checksum)
    return removed


def collect(index: Index, max_size: int, dry_run: bool, costs: Costs | None) -> Collected:
    """Remove buffers until the rest has at most `max_size` bytes; see `Store.collect`.

    Removing takes some room itself, for SQLite's log. Where the disk is full, the store's reserve makes that room.
    """
    tight = index.reserve.is_needed()
    if tight:
        index.reserve.let_go()
    try:
        return _collect(index, max_size, dry_run, costs, tight)
    except DiskFullError:  # of a quota, which is not to be seen before
        if tight:
            raise
        index.reserve.let_go()
        return _collect(index, max_size, dry_run, costs, tight=True)
    finally:
        index.reserve.keep()


def _collect(index: Index, max_size: int, dry_run: bool, costs: Costs | None, tight: bool) -> Collected:
    index.files.make_sure()
    adopted, strangers = adopt(index, dry_run)
    with index.file.writing() as connection:
        _end_dead_leases(connection, index.clock())
    leased = {row[0] for row in index.file.query("SELECT DISTINCT checksum FROM lease")}
    rows = index.file.query("SELECT checksum, size, used FROM buffer")
    candidates, spared = chosen(rows, leased, max_size, index.clock(), costs)
    kept = {checksum: size for checksum, size, _ in rows}
    before = sum(kept.values())
    if dry_run:
        removed = [checksum for checksum, _ in candidates]
    else:
        removed = _remove_all(index, candidates, kept, tight)
        spared += len(candidates) - len(removed)
    shown = largest(removed, kept) if dry_run else []
    freed = sum(kept.pop(checksum) for checksum in removed)
    leftovers = _sweep(index, strangers, dry_run)
    if not dry_run:
        shrink(index.file, _FEW if tight else _BATCH)
    return Collected(len(removed), freed, len(kept), before - freed, spared, leftovers, adopted, shown)


def _remove_all(index: Index, candidates: list[tuple[str, float]], sizes: Mapping[str, int], tight: bool) -> list[str]:
    """Remove buffers; where there is no room, the largest first and few at a time, each of which makes some."""
    removed: list[str] = []
    if tight:
        candidates.sort(key=lambda candidate: sizes[candidate[0]], reverse=True)
    start = 0
    while start < len(candidates):
        tight = tight and index.reserve.is_needed()
        count = _FEW if tight else _BATCH
        removed += _remove(index, candidates[start : start + count])
        start += count
        if tight:
            shrink(index.file, _FEW)
    return removed


def _sweep(index: Index, strangers: Sequence[str], dry_run: bool) -> int:
    """Remove temp files of processes long gone, files that are no buffers, and corrupt ones that nobody looked at."""
    now = index.clock()
    swept = 0
    for directory, age in ((index.temporary, _STALE), (index.corrupt, _EVIDENCE)):
        for path in _old_files(directory, now - age):
            swept += dry_run or _unlinked(path)
    with index.file.writing() as connection:
        for path in strangers:
            if _is_older(path, now - _STALE) and not is_known(connection, os.path.basename(path)):
                swept += dry_run or _unlinked(path)
    return swept


def _unlinked(path: str) -> bool:
    """Remove a file; False when somebody else, who collects at the same time, was first."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise translated(error, path) from error
    return True


def _old_files(directory: str, before: float) -> Iterator[str]:
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise translated(error, directory) from error
    for name in names:
        path = os.path.join(directory, name)
        if _is_older(path, before):
            yield path


def _is_older(path: str, before: float) -> bool:
    try:
        return os.stat(path, follow_symlinks=False).st_ctime < before
    except FileNotFoundError:
        return False
    except OSError as error:
        raise translated(error, path) from error
