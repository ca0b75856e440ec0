"""Putting the files of this program's projects into the store of those who are to run its calls.

What is there already is not put again; of a program whose files are as they were, nothing is read or asked.
"""

from __future__ import annotations

import os
import threading
import time
import warnings

from offload.errors import ChecksumMismatchError, EffectWarning, NotFoundError, OffloadError
from offload.identity import files
from offload.identity.checksums import checksum
from offload.notices import counted, users_level
from offload.snapshots.edits import tell_edited
from offload.snapshots.manifest import Entry, Manifest
from offload.snapshots.scan import LARGEST, MOST, File, State, scan
from offload.snapshots.units import Units, units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.storage.store import Store

LARGE = 1024 * 1024
BATCH_BYTES = 8 * 1024 * 1024
REST = 10.0  # so many times as long as it took to look at all files, they are believed to be as they were
REMEMBERED = 600.0  # seconds for which a store is believed to have what it was given
ATTEMPTS = 3

_lock = threading.Lock()
_checksums: dict[str, tuple[State, str]] = {}
_taken: dict[tuple[str, ...], _Taken] = {}
_told: set[str] = set()


class _Taken:
    """What is known of one store: what it has, and the last snapshot that was taken for it."""

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.stored: set[str] = set()
        self.units: Units | None = None
        self.files: list[File] | None = None
        self.checksum = ""
        self.rests_until = 0.0


def snapshot(key: Sequence[str], store: Store, tells: bool = False) -> str:
    """Return the checksum of a snapshot of this program's projects as they are now, which a store has.

    Parameters
    ----------
    key : sequence of str
        What tells the store from others.
    store : Store
        One that workers have.
    tells : bool
        Whether what is left out is told: workers certainly miss it.

    Raises
    ------
    OffloadError
        If a file changes all the time.
    StorageError
        If it cannot be kept.
    """
    with _lock:
        now = time.monotonic()
        known = _taken.get(tuple(key))
        if known is None or now - known.since > REMEMBERED:
            known = _taken[tuple(key)] = _Taken()
        wanted = units()
        if known.units is wanted and now < known.rests_until:
            return known.checksum
        for _ in range(ATTEMPTS):
            began = time.monotonic()
            found = scan(wanted)
            looked = time.monotonic()
            try:
                if found.files != known.files or any(file.is_fresh() for file in found.files):
                    known.checksum = _put(found.files, known.stored, store)
            except (ChecksumMismatchError, NotFoundError):
                continue  # it was changed, or has gone, while it was read
            known.units, known.files = wanted, found.files
            known.rests_until = time.monotonic() + REST * (looked - began)
            tell_edited(file for file in found.files if file.path in wanted.loaded)
            if tells:
                _tell(found.left_out)
            return known.checksum
        raise OffloadError("the project's files change all the time", "begin calls when nothing writes to them")


def _put(found: Sequence[File], stored: set[str], store: Store) -> str:
    """Put files into a store, what is not there yet; return the checksum of the snapshot."""
    unknown = [file for file in found if file.is_fresh() or _checksums.get(file.path, (None,))[0] != file.state]
    for file, digest in zip(unknown, files.hasher([file.path for file in unknown]), strict=True):
        _checksums[file.path] = file.state, digest
    contents: dict[str, File] = {}
    units: dict[str, tuple[Entry, ...]] = {}
    for file in found:
        digest = _checksums[file.path][1]
        contents[digest] = file
        entry = Entry(file.name, digest, file.executable, file.size)
        units[file.unit] = (*units.get(file.unit, ()), entry)
    manifest = Manifest(units).encoded()
    whole = checksum(manifest)
    wanted = [digest for digest in (*contents, whole) if digest not in stored]
    missing = [digest for digest, there in zip(wanted, store.has(wanted), strict=True) if not there]
    stored.update(set(wanted).difference(missing))
    _put_contents({digest: contents[digest] for digest in missing if digest != whole}, store)
    if whole in missing:
        store.put([manifest])
    stored.update(missing)
    return whole


def _put_contents(contents: dict[str, File], store: Store) -> None:
    """Put files into a store, small ones in batches.

    Raises
    ------
    ChecksumMismatchError, NotFoundError
        If one is not what it was.
    """
    batch: dict[str, bytes] = {}
    size = 0
    for digest, file in contents.items():
        if file.size >= LARGE:
            store.put_file(file.path, expected=digest)
            continue
        try:
            with open(file.path, "rb") as stream:
                batch[digest] = stream.read()
        except OSError as error:
            raise NotFoundError(f"{file.path} cannot be read: {error.strerror}") from error
        size += len(batch[digest])
        if size >= BATCH_BYTES:
            _put_batch(batch, store)
            batch, size = {}, 0
    _put_batch(batch, store)


def _put_batch(batch: dict[str, bytes], store: Store) -> None:
    if batch and store.put(list(batch.values())) != list(batch):
        raise ChecksumMismatchError("a file of the project was changed while it was read")


def _leave() -> None:
    """In a child of this process: whoever holds the lock is not there."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_leave)


def _tell(left_out: Sequence[tuple[str, int]]) -> None:
    """Say once what is left out."""
    new = [(path, size) for path, size in left_out if path not in _told]
    if not new:
        return
    _told.update(path for path, _ in new)
    size, (largest, _) = sum(size for _, size in new), max(new, key=lambda one: one[1])
    text = (
        f"workers that do not see this project lack {counted(len(new), 'file')} of its packages ({size >> 20} MiB), "
        f"such as {largest}: {LARGEST >> 20} MiB travel, and {MOST:,} files; pass what calls need as offload.File(...)"
    )
    warnings.warn(EffectWarning(text), stacklevel=users_level())
