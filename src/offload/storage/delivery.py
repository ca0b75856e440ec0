"""Outputs of commands and calls, put in their places: at once, file by file, and where they are not there already."""

from __future__ import annotations

import os
import stat
import time
from functools import cache

from offload.errors import OffloadError, UsageError
from offload.storage.output_record import OutputRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from offload.identity.directories import Tree
    from offload.storage.file_checksums import FileChecksums
    from offload.storage.store import Store


class FoundOutput:
    """An output in a scratch directory.

    Parameters
    ----------
    record : OutputRecord
        Its checksums are filled in when it is stored.
    source : str
        Where it lies.
    tree : Tree, optional
        What is in the directory.
    """

    __slots__ = ("record", "source", "tree")

    def __init__(self, record: OutputRecord, source: str, tree: Tree | None) -> None:
        self.record = record
        self.source = source
        self.tree = tree

    def files(self) -> list[str]:
        """Return the paths of all its files."""
        return [self.source] if self.tree is None else self.tree.paths()


def check_places(paths: Sequence[str]) -> None:
    """Check that outputs can be brought back, before the work that makes them.

    Raises
    ------
    UsageError
        For a place that is no directory or cannot be written to.
    """
    for path in paths:
        place = os.path.dirname(os.path.abspath(path))
        while not os.path.lexists(place):
            place = os.path.dirname(place)
        if not os.path.isdir(place):
            raise UsageError(f"the output {path} cannot be brought back: {place} is not a directory")
        if not os.access(place, os.W_OK | os.X_OK):
            raise UsageError(f"the output {path} cannot be brought back: {place} is not writable")


def deliver_found(found: Sequence[FoundOutput], files: FileChecksums, newest: int = 0) -> None:
    """Bring outputs back from the scratch directory, whether or not they could be stored; see `deliver_stored`."""
    sources = {}
    for output in found:
        if output.tree is None:
            sources[output.record.path] = output.source
        else:
            for entry in output.tree.entries:
                sources[f"{output.record.path}/{entry.name}"] = f"{output.source}/{entry.name}"
    _deliver([output.record for output in found], files, lambda item: _move(sources[item.path], item), newest)


def deliver_stored(records: Sequence[OutputRecord], files: FileChecksums, store: Store, newest: int = 0) -> None:
    """Bring outputs back from a store.

    Parameters
    ----------
    records : sequence of OutputRecord
        What was made.
    files : FileChecksums
        Tells which of them are there already.
    store : Store
        Has their contents.
    newest : int
        When the newest input was modified, in nanoseconds: no output is left older than that, or programs such as make
        would ask for it again and again.

    Raises
    ------
    BufferMissingError
        When one is not stored any more.
    """
    _deliver(records, files, lambda item: store.extract(item.checksum, item.path, _mode(item.executable)), newest)


def _deliver(
    records: Sequence[OutputRecord], files: FileChecksums, place: Callable[[OutputRecord], None], newest: int
) -> None:
    try:
        wanted = list(_files(records))
        there = [item for item in wanted if os.path.isfile(item.path) and item.checksum]
        known = dict(zip([item.path for item in there], files.checksums([item.path for item in there]), strict=True))
        for item in wanted:
            if item.checksum and known.get(item.path) == item.checksum and not os.path.islink(item.path):
                _set_executable(item.path, item.executable)
                _renew(item.path, newest)
                continue
            if os.path.isdir(item.path):
                raise OffloadError(f"the output {item.path} cannot be brought back: a directory of that name is there")
            os.makedirs(os.path.dirname(item.path) or ".", exist_ok=True)
            place(item)
            _renew(item.path, newest)
        for record in records:
            for entry in record.entries:
                if entry.kind == "symlink":
                    _link(entry.value, f"{record.path}/{entry.name}")
    except OSError as error:
        where = error.filename2 or error.filename or ""
        raise OffloadError(f"an output cannot be brought back: {where}: {error.strerror}") from error


def _renew(path: str, newest: int) -> None:
    if os.stat(path).st_mtime_ns < newest:
        moment = max(newest, time.time_ns())
        os.utime(path, ns=(moment, moment))


def _files(records: Sequence[OutputRecord]) -> Iterator[OutputRecord]:
    """Yield every file of the outputs; make their directories on the way."""
    for record in records:
        if record.kind == "file":
            yield record
            continue
        os.makedirs(record.path, exist_ok=True)
        for entry in record.entries:
            path = f"{record.path}/{entry.name}"
            if entry.kind == "directory":
                os.makedirs(path, exist_ok=True)
            elif entry.kind == "file":
                yield OutputRecord(path, "file", entry.value, entry.executable)


def _move(source: str, item: OutputRecord) -> None:
    """Put a scratch file in its place at once: by a second name for it, or else by a copy."""
    from offload.storage.copies import CHUNK
    from offload.util.filesystems import reflink
    from offload.util.sparse import SparseWriter

    mode = _mode(item.executable)
    temporary = _temporary(item.path)
    if not _has_second_name(source, temporary):
        reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            writer = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            try:
                if not reflink(reader, writer):
                    sparse = SparseWriter(writer)
                    while data := os.read(reader, CHUNK):
                        sparse.write(data)
                    sparse.finish()
            except BaseException:
                os.unlink(temporary)
                raise
            finally:
                os.close(writer)
        finally:
            os.close(reader)
    os.chmod(temporary, mode)
    os.rename(temporary, item.path)


def _has_second_name(source: str, path: str) -> bool:
    """Give a file a second name, where that can be; what a link leads to has a name of its own already."""
    if os.path.islink(source):
        return False
    try:
        os.link(source, path)
    except OSError:
        return False
    return True


def _link(target: str, path: str) -> None:
    if os.path.islink(path) and os.readlink(path) == target:
        return
    if os.path.isdir(path) and not os.path.islink(path):
        raise OffloadError(f"the output {path} cannot be brought back: a directory of that name is there")
    temporary = _temporary(path)
    os.symlink(target, temporary)
    os.rename(temporary, path)


def _temporary(path: str) -> str:
    directory, _, name = path.rpartition("/")
    return f"{directory}{'/' if directory else ''}.{name[:100]}.{os.urandom(4).hex()}.tmp"


def _mode(executable: bool) -> int:
    return (0o777 if executable else 0o666) & ~_umask()


@cache
def _umask() -> int:
    # There is no way to ask but to set; a strict one in between harms nobody.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _set_executable(path: str, executable: bool) -> None:
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if bool(mode & 0o100) != executable:
        os.chmod(path, mode | (0o111 & ~_umask()) if executable else mode & ~0o111)
