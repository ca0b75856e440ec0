"""Leases on the buffers of a directory store, and removing buffers without ever taking a leased one."""

from __future__ import annotations

import os

from offload.errors import DiskFullError
from offload.storage.local.adoption import adopt, is_known
from offload.storage.local.eviction import chosen, largest
from offload.storage.local.leases import Lease, may_live, this_process
from offload.storage.local.pruning import BATCH, shrink
from offload.storage.records import Collected
from offload.storage.store import PACKED
from offload.util.filesystems import translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from offload.storage.local.eviction import Costs
    from offload.storage.local.index import Index

_FILES, _SMALL = 100, 20_000  # removed in one transaction, so that writers do not wait long
_FEW = 10  # buffers, or pages, of one transaction where there is hardly room for its log
_FREE = (
    "SELECT checksum, used, packed FROM buffer WHERE checksum IN ({})"
    " AND NOT EXISTS (SELECT 1 FROM lease WHERE lease.checksum = buffer.checksum)"
)
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
    for start in range(0, len(checksums), _FILES):
        removed += len(_remove(index, [(checksum, None) for checksum in checksums[start : start + _FILES]]))
    return removed


def _remove(index: Index, candidates: Sequence[tuple[str, float | None]]) -> list[str]:
    """Remove buffers that are not leased and, where a time is given, have not been used since."""
    unused = dict(candidates)
    with index.file.writing() as connection:
        _end_dead_leases(connection, index.clock())
        rows = {
            checksum: packed
            for checksum, used, packed in index.file.select_keys(connection, _FREE, list(unused))
            if unused[checksum] is None or unused[checksum] == used
        }
        files = [(checksum,) for checksum, packed in rows.items() if packed is None]
        connection.executemany("DELETE FROM buffer WHERE checksum = ?", ((checksum,) for checksum in rows))
        connection.executemany("DELETE FROM digests WHERE checksum = ?", files)
        packed = sorted(number for number in rows.values() if number is not None)
        connection.executemany("DELETE FROM packed WHERE id = ?", ((number,) for number in packed))
        # Before the commit: after it, another process may have put the same buffer again.
        for (checksum,) in files:
            index.files.remove(checksum)
    return list(rows)


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
    buffers, before = index.file.query("SELECT count(*), coalesce(sum(size), 0) FROM buffer")[0]
    candidates, sizes, spared = _candidates(index, max_size, costs) if before > max_size else ([], {}, 0)
    if dry_run:
        removed = [checksum for checksum, _ in candidates]
    else:
        removed = _remove_all(index, candidates, sizes, tight)
        spared += len(candidates) - len(removed)
    freed = sum(sizes[checksum] for checksum in removed)
    leftovers = _sweep(index, strangers, dry_run)
    if not dry_run:
        shrink(index.file, _FEW if tight else BATCH)
    shown = largest(removed, sizes) if dry_run else []
    left = buffers - len(removed), before - freed
    return Collected(len(removed), freed, *left, spared, leftovers, adopted, shown)


def _candidates(
    index: Index, max_size: int, costs: Costs | None
) -> tuple[list[tuple[str, float]], dict[str, int], int]:
    """Choose what to remove; give that, the sizes of all buffers, and how many stay only because they are leased."""
    leased = {row[0] for row in index.file.query("SELECT DISTINCT checksum FROM lease")}
    rows = index.file.query("SELECT checksum, size, used FROM buffer")
    candidates, spared = chosen(rows, leased, max_size, index.clock(), costs)
    return candidates, {checksum: size for checksum, size, _ in rows}, spared


def _remove_all(index: Index, candidates: list[tuple[str, float]], sizes: Mapping[str, int], tight: bool) -> list[str]:
    """Remove buffers, files first; where there is no room, few at a time, each of which makes some."""
    removed: list[str] = []
    files = [one for one in candidates if sizes[one[0]] >= PACKED]
    files.sort(key=lambda candidate: sizes[candidate[0]], reverse=True)
    # Neighbours share pages of the index, which are written at the end of each transaction.
    small = sorted(one for one in candidates if sizes[one[0]] < PACKED)
    for part, most in ((files, _FILES), (small, _SMALL)):
        start = 0
        while start < len(part):
            tight = tight and index.reserve.is_needed()
            count = _FEW if tight else most
            removed += _remove(index, part[start : start + count])
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
