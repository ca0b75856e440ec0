"""Files among the arguments of calls: sent, and put in place, where a machine does not see them; looked at after calls.

Where a call runs that does not see a file, it has the name that it has here, in a directory of its own; it is made once
for each worker, and can only be read. Where the file itself is seen, the worker tells after the call whether it is what
the call was identified by: who asked for the call may be gone by then.
"""

from __future__ import annotations

import os
import stat
import threading

from offload.errors import BufferMissingError, OffloadError
from offload.transport.large_arguments import beside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from offload.identity.files import File
    from offload.storage.store import Store

Sent = tuple[str, str, bool]
"""The path of a file where it comes from; the checksum of its content; whether it is a directory, and a manifest's."""

_lock = threading.Lock()
_in_place: dict[Sent, tuple[str, tuple[int, ...]]] = {}


class Staged:
    """The packed arguments of a call, and what is known of the files among them.

    Attributes
    ----------
    arguments
        As :func:`offload.transport.pickling.packed` gives them.
    files : sequence of Sent
        Those that were sent along.
    seen : sequence of Sent
        Those that are read where they lie.
    """

    __slots__ = ("arguments", "files", "seen")

    def __init__(self, arguments: Any, files: Sequence[Sent], seen: Sequence[Sent] = ()) -> None:
        self.arguments = arguments
        self.files = files
        self.seen = seen

    def __reduce__(self) -> Any:
        return Staged, (beside(self.arguments), self.files, self.seen)

    def __len__(self) -> int:
        return 0 if isinstance(self.arguments, tuple) else len(self.arguments)


def with_files(arguments: Any, files: Iterable[tuple[File, str]], are_sent: bool) -> Any:
    """Return packed arguments with what is to be known of the files among them."""
    copies, others = divided(files, are_sent)
    return Staged(arguments, copies, others) if copies or others else arguments


def without_files(arguments: Any) -> Any:
    """Return packed arguments by themselves."""
    return arguments.arguments if isinstance(arguments, Staged) else arguments


def divided(files: Iterable[tuple[File, str]], are_sent: bool) -> tuple[list[Sent], list[Sent]]:
    """Return what is to be known of files that are sent along, and of those that are read where they lie."""
    files = list(files)
    return (sent(files), seen(file for file in files if file[0].implied)) if are_sent else ([], seen(files))


def sent(files: Iterable[tuple[File, str]]) -> list[Sent]:
    """Return what is to be known of files where they arrive."""
    from offload.identity.files import Directory

    return [(file.path, checksum, isinstance(file, Directory)) for file, checksum in files if not file.implied]


def seen(files: Iterable[tuple[File, str]]) -> list[Sent]:
    """Return what is to be known of files that are read where they lie."""
    from offload.identity.files import Directory

    return list(dict.fromkeys((file.path, checksum, isinstance(file, Directory)) for file, checksum in files))


def send(files: Iterable[tuple[File, str]], store: Store) -> None:
    """Put the content of files into a store, what is not there yet.

    Parameters
    ----------
    files : iterable of (File, str)
        With their checksums.
    store : Store
        One that the workers have.

    Raises
    ------
    OffloadError
        If a file has changed since its checksum was taken.
    """
    wanted = {checksum: file for file, checksum in files if not file.implied}
    checksums = list(wanted)
    for checksum, there in zip(checksums, store.has(checksums), strict=True):
        if not there:
            _send(wanted[checksum], checksum, store)


def _send(file: File, checksum: str, store: Store) -> None:
    from offload.identity.directories import scan
    from offload.storage.user_files import store_files

    if not os.path.isdir(file.path):
        store.put_file(file.path, expected=checksum)
        return
    tree = scan(file.path)
    found = store.put([tree.manifest(store_files(tree.paths(), store))])[0]
    if found != checksum:
        raise OffloadError(f"{file} changed while it was read", "run it again when nothing writes to it")


def place(met: Sequence[tuple[File, str]], known: Sequence[Sent], store: Store, directory: str) -> list[Sent]:
    """Have files that have arrived lead to their contents.

    Parameters
    ----------
    met : sequence of (File, str)
        The files as they were unpickled.
    known : sequence of Sent
        What came with them.
    store : Store
        Has their contents.
    directory : str
        Where they are put.

    Returns
    -------
    list of Sent
        Those that were put in place.

    Raises
    ------
    OffloadError
        If a content is not to be had.
    """
    by_path = {one[0]: one for one in known}
    used = []
    for file, _ in met:
        one = by_path.get(file.path)
        if one is None:
            continue
        used.append(one)
        file.path = put(one, store, directory)
    return used


def put(one: Sent, store: Store, directory: str) -> str:
    """Put a content in place, where it is not there yet as it was; return where it is."""
    with _lock:
        here = _in_place.get(one)
        if here is None or _state(here[0]) != here[1]:
            path = _put(one, store, directory)
            here = _in_place[one] = path, _state(path)
        return here[0]


def changed(used: Sequence[Sent]) -> str | None:
    """Return the name of a copy that a call has changed; None where there is none."""
    for one in used:
        path, before = _in_place[one]
        if _state(path) != before:
            return f"the worker's copy of {_named(one)}"
    return None


def there(files: Iterable[Sent]) -> list[Sent]:
    """Return those of some files that lie here: a worker need not see what its call does not read."""
    return [one for one in files if os.path.lexists(one[0])]


def differing(files: Iterable[Sent]) -> str | None:
    """Return the name of a file that lies here and is not what it was; None where there is none."""
    from offload.identity.files import Directory, File

    for one in files:
        path, checksum, is_directory = one
        try:
            same = (Directory if is_directory else File)(path).checksum() == checksum
        except OffloadError:  # it is gone, or keeps changing
            same = False
        if not same:
            return _named(one)
    return None


def _named(one: Sent) -> str:
    return f"offload.{'Directory' if one[2] else 'File'}({one[0]!r})"


def _put(one: Sent, store: Store, directory: str) -> str:
    path, checksum, is_directory = one
    name = os.path.basename(path)
    folder = os.path.join(directory, "files", checksum)
    while os.path.exists(folder):  # somebody has changed what was there
        folder += "+"
    os.makedirs(folder)
    path = os.path.join(folder, name or "root")
    try:
        if is_directory:
            put_tree(path, checksum, store)
        else:
            store.extract(checksum, path, 0o444)
    except BufferMissingError as exc:
        raise OffloadError(f"the content of {one[0]} is not stored any more", "submit the call again") from exc
    return path


def put_tree(path: str, checksum: str, store: Store, writable: bool = False) -> None:
    """Write a directory that is kept in a store, where there is none."""
    from offload.identity.directories import decode_manifest

    (data,) = store.get([checksum])
    os.mkdir(path)
    for entry in decode_manifest(data or b""):
        target = os.path.join(path, entry.name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if entry.kind == "file":
            mode = 0o555 if entry.executable else 0o444
            store.extract(entry.value, target, mode | (0o200 if writable else 0))
        elif entry.kind == "symlink":
            os.symlink(entry.value, target)
        else:
            os.makedirs(target, exist_ok=True)


def remove(path: str) -> None:
    """Remove a file or a directory with all in it."""
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil

        shutil.rmtree(path)
    else:
        os.unlink(path)


def _state(path: str) -> tuple[int, ...]:
    """Return what changes when a file, or anything in a directory, is changed."""
    if not os.path.lexists(path):
        return ()
    paths = [path]
    if stat.S_ISDIR(os.lstat(path).st_mode):
        paths += sorted(os.path.join(root, name) for root, *names in os.walk(path) for some in names for name in some)
    return tuple(number for one in paths for number in (os.lstat(one).st_mtime_ns, os.lstat(one).st_size))
