"""The scratch directory of a command: made when first needed, and removed.

<parent>/offload-XXXXXXXX/
tree/up2/up1/cwd/   the command's current directory; its parents give `../data/x` its usual place
home/               HOME
tmp/                TMPDIR
lock                held while the run lives: what a killed run leaves is removed by the next one
"""

from __future__ import annotations

import os

from offload.commands.running.stale_scratch import PREFIX, abandoned, hold
from offload.errors import UsageError


class Scratch:
    """A private directory for one command, made when first needed.

    Parameters
    ----------
    parent : str, optional
        Where to make it; default ``$TMPDIR``, else ``/tmp``.
    """

    __slots__ = ("_lock", "_path", "parent", "work")

    def __init__(self, parent: str | None = None) -> None:
        self.parent = os.path.abspath(parent or os.environ.get("TMPDIR") or "/tmp")
        self.work = ""
        self._path = ""
        self._lock = -1

    @classmethod
    def at(cls, path: str, parent: str) -> Scratch:
        """Return one that lies somewhere already, prepared; it is removed by whoever made it."""
        scratch = cls(parent)
        scratch._path = path
        scratch.work = f"{path}/tree/cwd"
        return scratch

    @property
    def path(self) -> str:
        """The directory; making it is what reading this does the first time."""
        while not self._path:
            path = f"{self.parent}/{PREFIX}{os.urandom(6).hex()}"
            try:
                for left in abandoned(self.parent):
                    remove_tree(left)
                os.mkdir(path, 0o700)
                self._lock = hold(path)
            except FileExistsError:
                continue
            except OSError as error:
                raise UsageError(
                    f"cannot make a scratch directory in {self.parent}: {error.strerror}",
                    "name another place: --scratch DIR, or TMPDIR",
                ) from error
            self._path = path
        return self._path

    def file(self, name: str) -> str:
        """Return the path for a file of offload's own, out of the command's sight."""
        return f"{self.path}/{name}"

    def prepare(self, depth: int) -> None:
        """Make the directories; `depth` levels above the current directory can hold inputs and outputs too."""
        ups = "".join(f"/up{level}" for level in range(depth, 0, -1))
        self.work = f"{self.path}/tree{ups}/cwd"
        os.makedirs(self.work)
        os.mkdir(f"{self.path}/home")
        os.mkdir(f"{self.path}/tmp")

    def holds(self, path: str) -> bool:
        """Return whether a path, its links followed, lies in the tree that the command may write to."""
        return os.path.realpath(path).startswith(os.path.realpath(f"{self.path}/tree") + "/")

    def remove(self) -> None:
        """Remove everything; safe to call twice."""
        if self._path:
            remove_tree(self._path)
            os.close(self._lock)
            self._path = ""


def remove_tree(path: str) -> None:
    """Remove a directory and all below it, read-only directories too."""
    try:
        with os.scandir(path) as listing:
            entries = list(listing)
    except PermissionError:
        os.chmod(path, 0o700)
        with os.scandir(path) as listing:
            entries = list(listing)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
            continue
        try:
            os.unlink(entry.path)
        except PermissionError:
            os.chmod(path, 0o700)
            os.unlink(entry.path)
        except FileNotFoundError:
            continue
    try:
        os.rmdir(path)
    except PermissionError:
        os.chmod(os.path.dirname(path), 0o700)
        os.rmdir(path)
    except FileNotFoundError:  # another process removes what was left, too
        return
