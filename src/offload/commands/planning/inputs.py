"""An input of a command: a file or a directory, looked at where it lies."""

from __future__ import annotations

import os
import stat

from offload.commands.request import quoted
from offload.errors import UsageError
from offload.identity.commands import CommandInput
from offload.identity.directories import TreeLimitError, scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.identity.directories import Tree

# What a directory that was only detected may hold; beyond, the user says that it is meant.
MAX_FILES = 10_000
MAX_BYTES = 2**30
NAMED = "the directory is an input because the command names it"


class PlannedInput(CommandInput):
    """An input, with where it comes from.

    Parameters
    ----------
    path : str
        As the command sees it, normalised.
    kind : str
        ``"file"`` or ``"directory"``.
    executable : bool
        For a file.
    how : str
        ``"detected"``, ``"declared"`` or ``"command"`` (it is ``argv[0]``).
    source : str
        How to open it from here.
    tree : Tree, optional
        What is in the directory.
    size : int
        Bytes, of all files together.
    excluded : sequence of str
        Names in the directory that are no part of it.
    """

    __slots__ = ("excluded", "how", "inode", "size", "source", "tree", "words")

    def __init__(
        self,
        path: str,
        kind: str,
        executable: bool,
        how: str,
        source: str,
        inode: tuple[int, int],
        tree: Tree | None,
        size: int,
        excluded: Sequence[str] = (),
    ) -> None:
        super().__init__(path, kind, "", executable)
        self.how = how
        self.source = source
        self.inode = inode
        self.tree = tree
        self.size = size
        self.excluded = excluded
        self.words = [source]

    @property
    def in_place(self) -> bool:
        """Whether the command reads the original, by its absolute path."""
        return self.path.startswith("/")


def look(word: str, path: str, how: str, excluded: Sequence[str]) -> PlannedInput:
    """Return an input as it is now, not hashed yet.

    Raises
    ------
    UsageError
        For an input that is missing, unreadable, special or too large to be meant.
    """
    status = status_of(word)
    inode = (status.st_dev, status.st_ino)
    source = word.rstrip("/") or "/"
    if stat.S_ISREG(status.st_mode):
        executable = bool(status.st_mode & 0o100)
        return PlannedInput(path, "file", executable, how, source, inode, None, status.st_size)
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"the input {word} is neither a file nor a directory")
    most_files, most_bytes = (MAX_FILES, MAX_BYTES) if how == "detected" else (None, None)
    try:
        tree = scan(source, excluded, most_files, most_bytes, environments=False)
    except TreeLimitError as error:
        raise UsageError(
            f"{error.message}; {NAMED}", f"--input {quoted(source)} if it is meant, --no-detect if not"
        ) from error
    except UsageError as error:
        if how != "detected":
            raise
        raise UsageError(f"{error.message}; {NAMED}", f"--no-detect if {source} is not meant") from error
    return PlannedInput(path, "directory", False, how, source, inode, tree, tree.size, excluded)


def check_input(word: str) -> None:
    """Raise UsageError for an input that is not there."""
    status_of(word)


def status_of(word: str) -> os.stat_result:
    """Return the status of a file or directory; UsageError where there is none."""
    try:
        return os.stat(word)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a possible name"
        raise UsageError(f"cannot read the input {word!r}: {reason}") from error
