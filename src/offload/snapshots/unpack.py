"""The worker's side: the files of a snapshot are laid out below the worker's own directory, each where it belongs.

Contents are kept once; files are links to them. A snapshot that agrees with what was laid out before is added to it, so
that modules that were imported stay what they are; another version of a package gets a directory of its own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading

from offload.errors import OffloadError
from offload.identity import origins
from offload.identity.files import file_checksum
from offload.snapshots.manifest import Entry, Manifest, Units, path_of
from offload.transport import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.storage.store import Store
    from offload.transport.files import Sent

FOLDER = "snapshots"

LARGE = 1024 * 1024
BATCH_BYTES = 8 * 1024 * 1024

_lock = threading.Lock()
_trees: list[Tree] = []
_manifests: dict[str, Manifest] = {}


class Tree:
    """Files that are laid out.

    Attributes
    ----------
    path : str
        The directory below which each has the path that it has where it came from.
    platform : str
        What the machine is that they came from.
    units : dict
        The packages and files in it.
    given : dict
        Files and directories that calls were given, and that lie in the project.
    """

    def __init__(self, path: str, platform: str) -> None:
        self.path = path
        self.platform = platform
        self.units: Units = {}
        self.given: dict[str, Sent] = {}

    def agrees(self, manifest: Manifest, given: Sequence[Sent]) -> bool:
        """Tell whether no package or file is another one in it."""
        return (
            self.platform == manifest.platform
            and all(self.units.get(unit, own) == own for unit, own in manifest.units.items())
            and all(self.given.get(one[0], one) == one for one in given)
        )


def lay_out(snapshot: str, store: Store, directory: str, given: Sequence[Sent] = ()) -> Tree:
    """Lay out a snapshot, unless that was done before.

    Parameters
    ----------
    snapshot : str
        Its checksum.
    store : Store
        Has its contents.
    directory : str
        This worker's own, which ends with it.
    given : sequence of Sent
        Files and directories that calls were given, and that lie in the project: code may find them by its own place.

    Raises
    ------
    OffloadError
        If its contents are not to be had.
    """
    with _lock:
        manifest = _manifests.get(snapshot)
        if manifest is None:
            (data,) = store.get([snapshot])
            if data is None:
                raise _missing()
            manifest = _manifests[snapshot] = Manifest.decoded(data)
        place = os.path.join(directory, FOLDER)
        trees = (tree for tree in reversed(_trees) if os.path.dirname(tree.path) == place and os.path.isdir(tree.path))
        tree = next((tree for tree in trees if tree.agrees(manifest, given)), None)
        if tree is None:
            tree = Tree(os.path.join(place, f"{os.getpid()}-{secrets.token_hex(4)}"), manifest.platform)
            os.makedirs(tree.path)
            origins.add(tree.path)
            _trees.append(tree)
        _add(tree, manifest, store, place)
        for one in given:
            if one[0] not in tree.given:
                _give(tree, one, store, directory)
        return tree


def _add(tree: Tree, manifest: Manifest, store: Store, place: str) -> None:
    new = {unit: entries for unit, entries in manifest.units.items() if unit not in tree.units}
    _fetch({(one.checksum, one.executable): one for own in new.values() for one in own}, store, place)
    for unit, entries in new.items():
        for entry in entries:
            target = tree.path + path_of(unit, entry)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            _link(_place(place, entry), target)
    tree.units |= new  # only what is whole


def _give(tree: Tree, one: Sent, store: Store, directory: str) -> None:
    """Have a file that calls were given at its place, too; a part of a package is there already."""
    target = tree.path + one[0]
    if not os.path.lexists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(files.put(one, store, directory), target)
    elif os.path.isfile(target) and file_checksum(target) != one[1]:
        raise OffloadError(f"{one[0]} was changed while the call was submitted", "submit it again")
    tree.given[one[0]] = one


def _missing() -> OffloadError:
    return OffloadError("the files of the project are not stored any more", "submit the call again")


def _place(place: str, entry: Entry) -> str:
    """Return where a content is kept, to be linked to."""
    return os.path.join(place, "contents", entry.checksum + ("x" if entry.executable else ""))


def _fetch(wanted: dict[tuple[str, bool], Entry], store: Store, place: str) -> None:
    """Have contents kept, small ones in batches. Other processes may be doing the same: each writes a whole file."""
    os.makedirs(os.path.join(place, "contents"), exist_ok=True)
    batch: list[Entry] = []
    size = 0
    for entry in wanted.values():
        path = _place(place, entry)
        if _is_whole(path, entry):
            continue
        if entry.size >= LARGE:
            store.extract(entry.checksum, path, _mode(entry))
            _kept[path] = _state(path)
            continue
        batch.append(entry)
        size += entry.size
        if size >= BATCH_BYTES:
            _fetch_batch(batch, store, place)
            batch, size = [], 0
    _fetch_batch(batch, store, place)


def _fetch_batch(batch: list[Entry], store: Store, place: str) -> None:
    for entry, data in zip(batch, store.get([entry.checksum for entry in batch]) if batch else (), strict=True):
        if data is None:
            raise _missing()
        path = _place(place, entry)
        part = f"{path}.{secrets.token_hex(4)}"
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _mode(entry)), "wb") as file:
            file.write(data)
        os.rename(part, path)
        _kept[path] = _state(path)


_kept: dict[str, tuple[int, int]] = {}  # contents that were found to be whole, and how they were then


def _is_whole(path: str, entry: Entry) -> bool:
    """Tell whether a content is kept, as it was written: links to it are what calls have before them."""
    try:
        state = _state(path)
    except FileNotFoundError:
        return False
    if _kept.get(path) != state:
        if file_checksum(path) != entry.checksum:
            return False
        _kept[path] = state
    return True


def _state(path: str) -> tuple[int, int]:
    about = os.stat(path)
    return about.st_size, about.st_mtime_ns


def _mode(entry: Entry) -> int:
    return 0o555 if entry.executable else 0o444


def _link(content: str, target: str) -> None:
    if os.path.lexists(target):  # left by an attempt that failed
        os.unlink(target)
    try:
        os.link(content, target)
    except OSError:  # the file system has no links, or no more of this one
        shutil.copy2(content, target)
