"""What a directory is: a manifest of names, kinds, executable bits and contents.

A manifest lists every file, directory (empty ones too) and symbolic link below a root. Times, owners and
other permission bits are not part of it. Its canonical encoding is a buffer; that buffer's checksum is the
directory's checksum.

Scanning and hashing are separate steps, so that the files of many directories are hashed in one batch.
"""

from __future__ import annotations

import os
import stat

from offload.errors import DecodeError, UsageError
from offload.identity.values.encode import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

MANIFEST_VERSION = 1

_SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


class TreeLimitError(UsageError):
    """A directory holds more than the caller was willing to take."""


class TreeEntry:
    """One thing below a directory.

    Parameters
    ----------
    name : str
        Relative to the root, with ``/`` between the parts.
    kind : str
        ``"file"``, ``"directory"`` or ``"symlink"``.
    executable : bool
        For files.
    value : str
        A file's checksum ("" until it is known), a link's target, "" for a directory.
    size : int
        A file's length in bytes; not part of the manifest.
    """

    __slots__ = ("executable", "kind", "name", "size", "value")

    def __init__(self, name: str, kind: str, executable: bool = False, value: str = "", size: int = 0) -> None:
        self.name = name
        self.kind = kind
        self.executable = executable
        self.value = value
        self.size = size


class Tree:
    """What `scan` found below a root, sorted by name.

    Parameters
    ----------
    root : str
        Path of the directory.
    entries : list of TreeEntry
        Sorted by name.
    """

    __slots__ = ("entries", "root", "size")

    def __init__(self, root: str, entries: list[TreeEntry]) -> None:
        self.root = root
        self.entries = entries
        self.size = sum(entry.size for entry in entries)

    def paths(self) -> list[str]:
        """Return the paths of the files, root included."""
        return [f"{self.root}/{entry.name}" for entry in self.entries if entry.kind == "file"]

    def manifest(self, checksums: Mapping[str, str]) -> bytes:
        """Fill in the files' checksums (by the names that `paths` gave) and return the encoded manifest."""
        for entry in self.entries:
            if entry.kind == "file":
                entry.value = checksums[f"{self.root}/{entry.name}"]
        return encode_manifest(self.entries)


def encode_manifest(entries: Sequence[TreeEntry]) -> bytes:
    """Return the buffer of a directory with these entries; their order does not matter."""
    rows = [[entry.name, entry.kind, entry.executable, entry.value] for entry in sorted(entries, key=_name)]
    return encode({"version": MANIFEST_VERSION, "kind": "directory", "entries": rows})


def decode_manifest(data: bytes) -> list[TreeEntry]:
    """Return the entries of an encoded manifest.

    Raises
    ------
    DecodeError
        When the buffer is not a manifest, or one that a newer version wrote.
    """
    from offload.identity.values.decode import decode

    value = decode(data)
    if not isinstance(value, dict) or value.get("kind") != "directory":
        raise DecodeError("the buffer is not the manifest of a directory")
    if value.get("version") != MANIFEST_VERSION:
        raise DecodeError(f"a directory manifest of version {value.get('version')} needs a newer offload")
    return [TreeEntry(name, kind, executable, text) for name, kind, executable, text in value["entries"]]


def scan(
    root: str,
    exclude: Collection[str] = (),
    max_files: int | None = None,
    max_bytes: int | None = None,
    environments: bool = True,
) -> Tree:
    """List what is below a directory, without reading any content.

    Parameters
    ----------
    root : str
        The directory; a symbolic link to one is followed.
    exclude : collection of str
        Names relative to the root that are passed over, with all that is below them. So is bytecode of Python.
    max_files, max_bytes : int, optional
        Give up beyond these.
    environments : bool
        False to pass over virtual environments, too.

    Returns
    -------
    Tree
        Checksums are not filled in yet.

    Raises
    ------
    UsageError
        For a special file, a link that leads outside, or something that cannot be read; named in the message.
    TreeLimitError
        When there is more than the limits allow.
    """
    entries: list[TreeEntry] = []
    pending = [""]
    size = files = 0
    resolved = ""
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(f"{root}/{prefix}") as listing:
                found = list(listing)
            if prefix and not environments and any(item.name == "pyvenv.cfg" for item in found):
                entries = [entry for entry in entries if entry.name != prefix[:-1]]
                continue
            for item in found:
                name = prefix + item.name
                if name in exclude or item.name == "__pycache__":  # it follows from the code beside it
                    continue
                status = item.stat(follow_symlinks=False)
                kind = stat.S_IFMT(status.st_mode)
                if kind == stat.S_IFREG:
                    entries.append(TreeEntry(name, "file", bool(status.st_mode & 0o100), size=status.st_size))
                    files += 1
                    size += status.st_size
                    _check_limits(root, files, size, max_files, max_bytes)
                elif kind == stat.S_IFDIR:
                    entries.append(TreeEntry(name, "directory"))
                    pending.append(name + "/")
                elif kind == stat.S_IFLNK:
                    resolved = resolved or os.path.realpath(root)
                    entries.append(TreeEntry(name, "symlink", value=_link(root, name, resolved)))
                else:
                    what = _SPECIAL.get(kind, "a special file")
                    raise UsageError(f"{root}/{name} is {what}: it has no content to keep")
        except OSError as error:
            path = error.filename or f"{root}/{prefix}"
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
    entries.sort(key=_name)
    return Tree(root, entries)


def _check_limits(root: str, files: int, size: int, max_files: int | None, max_bytes: int | None) -> None:
    if max_files is not None and files > max_files:
        raise TreeLimitError(f"the directory {root} holds more than {max_files:,} files")
    if max_bytes is not None and size > max_bytes:
        raise TreeLimitError(f"the directory {root} holds more than {max_bytes / 2**30:.3g} GiB")


def _link(root: str, name: str, resolved: str) -> str:
    """Return a link's target, which has to be relative and to stay below the root wherever it leads."""
    path = f"{root}/{name}"
    target = os.readlink(path)
    real = os.path.realpath(path)
    if target.startswith("/") or not (real == resolved or real.startswith(resolved + "/")):
        raise UsageError(
            f"{path} is a symbolic link to {target}, outside {root}: a copy could not hold it",
            "replace the link by what it names, or move it elsewhere",
        )
    return target


def _name(entry: TreeEntry) -> str:
    return entry.name
