"""Whether a worker sees the files of those who send it work: by a file that only they can have."""

from __future__ import annotations

import functools
import os
from hashlib import sha256
from typing import NamedTuple

Mark = tuple[str, str]
"""The path of a file that is like no other, and its checksum."""


def mark(path: str) -> Mark:
    """Return the mark of a file that is here."""
    with open(path, "rb") as file:
        return path, sha256(file.read()).hexdigest()


@functools.cache
def is_visible(marked: Mark) -> bool:
    """Tell whether the file of a mark is the same here. The same path on another machine may lead to another one."""
    try:
        return mark(marked[0]) == marked
    except OSError:
        return False


class WorkingDirectory(NamedTuple):
    """A directory of a program, as other processes can tell whether they see it.

    Attributes
    ----------
    path : str
        Its absolute path.
    device, inode : int
        By which one machine tells it from others.
    machine : str
        That one, since it was started.
    server : str
        Whose network file system it lies on; empty for none.
    """

    path: str
    device: int
    inode: int
    machine: str
    server: str

    def is_here(self) -> bool:
        """Tell whether this process sees that directory, and no other of the same path."""
        try:
            about = os.stat(self.path)
        except OSError:
            return False
        if about.st_ino != self.inode:
            return False
        if self.machine == _machine():
            return about.st_dev == self.device
        return bool(self.server) and self.server == _server(self.path, about.st_dev)


def working_directory() -> WorkingDirectory | None:
    """Return the directory in which this process is; None where it has been removed."""
    try:
        path = os.getcwd()
        about = os.stat(path)
    except OSError:
        return None
    return WorkingDirectory(path, about.st_dev, about.st_ino, _machine(), _server(path, about.st_dev))


@functools.cache
def _machine() -> str:
    from offload.util.liveness import boot

    return boot() or os.uname().nodename


@functools.cache
def _server(path: str, device: int) -> str:
    from offload.util.filesystems import server_of

    return server_of(path)
