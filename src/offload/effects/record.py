"""What a call was seen to do, in a form that travels."""

from __future__ import annotations

import os

MOST = 3


class Effects:
    """What was seen while a call ran; the first few of each kind.

    Attributes
    ----------
    undeclared : list of (str, str)
        What keeps the result from being recorded: a kind, as :mod:`offload.effects.warnings` lists them, and
        which file, address or command.
    written : list of str
        Files that were written, outside of scratch.
    settings : list of str
        What was set, and put back after the call.
    threads : list of str
        Those that it has left at work on a worker, and that were ended.
    """

    __slots__ = ("settings", "threads", "undeclared", "written")

    def __init__(self) -> None:
        self.undeclared: list[tuple[str, str]] = []
        self.written: list[str] = []
        self.settings: list[str] = []
        self.threads: list[str] = []

    def add(self, kind: str, what: str) -> None:
        """Note something that was not declared."""
        if len(self.undeclared) < MOST and (kind, what) not in self.undeclared:
            self.undeclared.append((kind, what))

    def gives_back(self, paths: set[str]) -> None:
        """Forget that files were written which the call returns: they are there again when it is recalled."""
        folders = tuple(os.path.join(path, "") for path in paths)
        self.written = [path for path in self.written if path not in paths and not path.startswith(folders)]

    def wrote(self, path: str) -> None:
        """Note a file that was written."""
        if len(self.written) < MOST and path not in self.written:
            self.written.append(path)
