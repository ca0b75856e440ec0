"""Empty directories for commands without inputs and outputs, used again as long as nothing comes to lie in them.

To make and to remove the four directories of a command takes the file system longer than the command itself takes. What
a command that left nothing has seen is what the next one is to see: empty directories with a fixed time. Whether
something has been in them is told by their times, which nobody can set back in secret.
"""

from __future__ import annotations

import os

MOMENT = 946_684_800 * 10**9  # as all that lies in a scratch directory
_PARTS = ("", "/tree", "/tree/cwd", "/home", "/tmp")


class EmptyPlace:
    """A scratch directory with nothing in it but what is always there.

    Parameters
    ----------
    path : str
        Where to make it.

    Attributes
    ----------
    work : str
        Where a command starts in it.
    variables : dict
        Those that lead a command here.
    """

    __slots__ = ("_attributes", "_seen", "path", "variables", "work")

    def __init__(self, path: str) -> None:
        self.path = path
        self.work = path + "/tree/cwd"
        self.variables = {b"HOME": os.fsencode(path + "/home"), b"TMPDIR": os.fsencode(path + "/tmp")}
        for part in _PARTS:
            os.mkdir(path + part, 0o700 if not part else 0o755)
        self._attributes = self._extended()
        self._settle()

    def is_as_new(self) -> bool:
        """Tell whether the next command finds here what the last one found; what came and went is no trace."""
        try:
            seen = self._look()
            if seen == self._seen:
                return True
            if any(now[:3] != was[:3] for now, was in zip(seen, self._seen, strict=True)) or not self._is_empty():
                return False
            self._settle()
        except OSError:  # it took away the right to look, or the directory itself
            return False
        return True

    def _settle(self) -> None:
        for part in reversed(_PARTS):
            os.utime(self.path + part, ns=(MOMENT, MOMENT))
        self._seen = self._look()

    def _look(self) -> list[tuple[int, ...]]:
        found = (os.lstat(self.path + part) for part in _PARTS)
        return [(one.st_ino, one.st_mode, one.st_uid, one.st_mtime_ns, one.st_ctime_ns) for one in found]

    def _is_empty(self) -> bool:
        expected = {"": {"tree", "home", "tmp"}, "/tree": {"cwd"}}
        empty = all(set(os.listdir(self.path + part)) == expected.get(part, set()) for part in _PARTS)
        return empty and self._extended() == self._attributes

    def _extended(self) -> list[list[str]]:
        """Return the names of the extended attributes, such as rights that new files are to have."""
        listxattr = getattr(os, "listxattr", None)
        return [] if listxattr is None else [listxattr(self.path + part) for part in _PARTS]
