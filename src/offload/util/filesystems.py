"""What differs between file systems: network ones, copies that share blocks, durable renames, and errors."""

from __future__ import annotations

import errno
import os

from offload.errors import DiskFullError, NotWritableError, StorageError

_NETWORK = (
    "nfs", "cifs", "smb", "ncp", "afs", "lustre", "gpfs", "beegfs", "ceph", "gfs", "ocfs2", "orangefs", "pvfs2",
    "panfs", "9p", "virtiofs", "davfs", "glusterfs", "moosefs", "fuse.sshfs", "fuse.gluster", "fuse.ceph",
    "fuse.moosefs", "fuse.juicefs", "fuse.s3fs", "fuse.rclone", "fuse.davfs", "fuse.smb", "fuse.nfs", "fuse.cvmfs",
)  # fmt: skip
MOUNTS = "/proc/self/mountinfo"
"""Where Linux lists what is mounted."""

_FICLONE = 0x40049409
_FULL = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def file_system(path: str, mounts: str) -> str:
    r"""Give the type of the file system that an absolute path lies on.

    Parameters
    ----------
    path : str
        An absolute path; it need not exist.
    mounts : str
        The text of ``/proc/self/mountinfo``.

    Returns
    -------
    str
        Such as ``"ext4"`` or ``"nfs4"``; empty when no mount point covers the path.

    Examples
    --------
    >>> text = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n31 22 0:40 / /home rw - nfs4 server:/home rw\n"
    >>> file_system("/home/me", text), file_system("/homework", text)
    ('nfs4', 'ext4')
    """
    return _mounted(path, mounts)[0]


def _mounted(path: str, mounts: str) -> tuple[str, str]:
    """Return the type of the file system that a path lies on, and what of where is mounted there."""
    best, found = -1, ("", "")
    for line in mounts.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = _unescape(fields[4]).rstrip("/")
        # Later lines are mounted over earlier ones of the same length.
        if len(point) >= best and (path == point or path.startswith(point + "/")):
            kind, source = (*after.split(" "), "")[:2]
            best, found = len(point), (kind, f"{source} {fields[3]}")
    return found


def is_network(kind: str) -> bool:
    """Tell whether files of this type of file system are shared between machines.

    Examples
    --------
    >>> is_network("nfs4"), is_network("fuse.sshfs"), is_network("ext4")
    (True, True, False)
    """
    return kind.startswith(_NETWORK)


def file_system_of(path: str) -> str:
    """Give the type of the file system that a path lies on; empty where the system does not tell (all but Linux)."""
    return file_system(os.path.realpath(path), _mounts())


def _mounts() -> str:
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def server_of(path: str) -> str:
    """Give the type of the network file system that a path lies on, and what it is a mount of; empty for others."""
    kind, source = _mounted(os.path.realpath(path), _mounts())
    return f"{kind} {source}" if is_network(kind) else ""


def on_network(path: str) -> bool:
    """Tell whether a path lies on a network file system, as far as this machine tells."""
    return is_network(file_system_of(path))


def _unescape(text: str) -> str:
    """Undo the kernel's octal escapes of space, tab, newline and backslash."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def reflink(source: int, target: int) -> bool:
    """Let one open file share the blocks of another, copy on write.

    Parameters
    ----------
    source, target : int
        File descriptors; the target is empty and on the same file system.

    Returns
    -------
    bool
        False when the file system cannot: the caller copies.
    """
    import sys

    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _FULL:
            raise
        return False
    return True


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


RESERVE, SHARE = 10**9, 20
"""Bytes that what is written without end leaves free, but no more than this part of the whole."""


def is_nearly_full(directory: str) -> bool:
    """Tell whether so little is free where a directory lies that what writes without end is to stop."""
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize < min(RESERVE, room.f_blocks * room.f_frsize // SHARE)


def check_room(directory: str, size: int) -> None:
    """Check that so many bytes can be written in a directory, as far as quotas go, too.

    Raises
    ------
    DiskFullError
        If there is less room.
    StorageError
        If nothing can be written there.
    """
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(os.urandom(size))  # of zeros, some file systems keep only their number
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        if exc.errno not in _FULL:
            raise translated(exc, directory) from exc
        raise DiskFullError(
            f"no space left where {directory} lies: less than {size // 1000} kB", translated(exc, directory).hint
        ) from exc


def sync_names(path: str) -> None:
    """Make the names in a directory durable, and its own, as far as this user may read where that stands."""
    sync_directory(path)
    try:
        sync_directory(os.path.dirname(path))
    except PermissionError:
        return  # somebody else's directory, which was there before


def translated(error: OSError, path: str) -> StorageError:
    """Turn an error of the operating system into the kind that a user can act on.

    Parameters
    ----------
    error : OSError
        What was caught.
    path : str
        The file or directory that the user knows.
    """
    if error.errno in _FULL:
        return DiskFullError(
            f"no space left where {path} lies", "free some space, or shrink the store: offload gc --max-size SIZE"
        )
    if error.errno in _DENIED:
        return NotWritableError(
            f"{path} cannot be written: {error.strerror}",
            "check its owner and mode, or set OFFLOAD_HOME to another place",
        )
    return StorageError(f"{path}: {error.strerror or error}")
