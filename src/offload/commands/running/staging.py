"""Filling a scratch directory with verified copies of a command's inputs, and finding what it has left there.

Inputs are reflinked or copied, never linked: what the command does to them stays in the scratch directory.
"""

from __future__ import annotations

import os

from offload.commands.planning.in_place import environment_of
from offload.errors import DiskFullError, OffloadError, UsageError
from offload.storage.copies import MOMENT, copy_verified, no_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from offload.commands.planning.inputs import PlannedInput
    from offload.commands.running.scratch import Scratch

    Copy = Callable[[str, str, str, bool], None]

MOST_STRAYS = 10_000


def depth_of(paths: Sequence[str]) -> int:
    """Return how many levels above the current directory normalised relative paths lead."""
    return max((path.split("/").count("..") for path in paths if not path.startswith("/")), default=0)


class Stager:
    """Fills a prepared scratch directory.

    Parameters
    ----------
    scratch : Scratch
        Already prepared.
    absent : sequence of str
        Absolute paths that the command names, and that do not exist yet.
    copy : callable
        Copies files, as `copy_verified` does.
    times : mapping, optional
        The places of files in the order in which they were modified, where that counts.
    """

    def __init__(
        self,
        scratch: Scratch,
        absent: Sequence[str] = (),
        copy: Copy = copy_verified,
        times: Mapping[str, int] | None = None,
    ) -> None:
        self._work = scratch.work
        self._top = f"{scratch.path}/tree"
        self._absent = absent
        self._copy = copy
        self._times = times or {}
        self._moments = {MOMENT + rank * 10**9 for rank in (0, *self._times.values())}
        self._placed: dict[str, str] = {}
        self._led: list[str] = []  # environments that are used where they are
        self._directories: set[str] = set()

    def stage(self, inputs: Sequence[PlannedInput], outputs: Sequence[str]) -> None:
        """Copy the inputs to where the command looks for them, and make the directories of its outputs.

        Parameters
        ----------
        inputs : sequence of PlannedInput
            Those with an absolute path are left where they are.
        outputs : sequence of str
            As declared.

        Raises
        ------
        OffloadError
            When an input is not, or no longer, what the command's identity says.
        """
        try:
            for item in sorted(inputs, key=_depth_first):
                if not item.path.startswith("/"):
                    self._stage_input(item)
            for output in outputs:
                place = output if output.endswith("/") else os.path.dirname(output)
                self._make(os.path.normpath(os.path.join(self._work, place)))
            for directory in sorted(self._directories, reverse=True):
                os.utime(directory, ns=(MOMENT, MOMENT))
        except OSError as error:
            raise _staging_error(error) from error

    def strays(self, outputs: Sequence[str]) -> list[str]:
        """Return what a command has made or changed beside its outputs: next time, nobody will see it.

        In its tree, paths are relative to the command's current directory; a new directory ends with a slash and stands
        for all that is in it. Hidden files and Python's caches are passed over, and so is what is beyond some thousand
        files.
        """
        expected = {os.path.normpath(os.path.join(self._work, output)) for output in outputs}
        found: list[str] = []
        pending = [self._top]
        seen = 0
        while pending and seen < MOST_STRAYS:
            place = pending.pop()
            if not os.access(place, os.R_OK | os.X_OK):
                continue
            with os.scandir(place) as listing:
                entries = list(listing)
            seen += len(entries)
            for entry in entries:
                if entry.path in expected or entry.name.startswith(".") or entry.name == "__pycache__":
                    continue
                name = os.path.relpath(entry.path, self._work)
                if entry.is_dir(follow_symlinks=False):
                    if entry.path in self._directories or self._work.startswith(entry.path):
                        pending.append(entry.path)
                    else:
                        found.append(name + "/")
                elif entry.path not in self._placed or self._is_changed(entry):
                    found.append(name)
        return sorted(found) + [path for path in self._absent if os.path.exists(path)]

    def _is_changed(self, entry: os.DirEntry[str]) -> bool:
        return not entry.is_symlink() and entry.stat().st_mtime_ns not in self._moments

    def _stage_input(self, item: PlannedInput) -> None:
        target = os.path.normpath(os.path.join(self._work, item.path))
        if any(target.startswith(f"{place}/") for place in self._led):
            return  # it is read where it is
        for word in item.words:
            self._make_steps(word)
        if item.tree is None:
            if environment_of(item.source) is not None:
                prefix = os.path.dirname(os.path.dirname(item.path))
                if prefix and self._lead_to(prefix, item.source):
                    return
            self._make(os.path.dirname(target))
            self._file(item.source, target, item.checksum, item.executable)
            return
        self._make(target)
        for entry in item.tree.entries:
            place = f"{target}/{entry.name}"
            if entry.kind == "directory":
                self._make(place)
            elif entry.kind == "symlink":
                if self._new(place, f"link to {entry.value}"):
                    os.symlink(entry.value, place)
            else:
                self._file(f"{item.source}/{entry.name}", place, entry.value, entry.executable)

    def _lead_to(self, prefix: str, source: str) -> bool:
        """Have the path of an environment lead to where it is: a copied program would not find what belongs to it.

        Returns
        -------
        bool
            False where it is in the tree already, copied with a directory that is an input, or not on this machine.
        """
        place = os.path.normpath(os.path.join(self._work, prefix))
        original = os.path.abspath(os.path.dirname(os.path.dirname(source)))
        if not os.path.isdir(original):
            return False
        if not os.path.lexists(place):
            self._make(os.path.dirname(place))
            os.symlink(original, place)
            self._placed[place] = f"link to {original}"
            self._led.append(place)
        return os.path.islink(place)

    def _file(self, source: str, target: str, checksum: str, executable: bool) -> None:
        if not self._new(target, f"{checksum} {executable}"):
            return
        if executable:
            with no_fork:
                self._copy(source, target, checksum, executable)
        else:
            self._copy(source, target, checksum, executable)
        if self._times:
            moment = MOMENT + self._times.get(source, 0) * 10**9
            os.utime(target, ns=(moment, moment))

    def _new(self, target: str, what: str) -> bool:
        """Return whether a place is still free; what is there already has to be the same thing."""
        there = self._placed.setdefault(target, what)
        if there != what and os.path.islink(target) and os.path.exists(target):
            return False  # a link of a directory that is an input leads to what the directory holds
        if there == what and not os.path.lexists(target):
            return True
        if there != what or (os.path.isdir(target) and not os.path.islink(target)):
            raise UsageError(f"two inputs with different content would be at {os.path.relpath(target, self._work)}")
        return False

    def _make(self, directory: str) -> None:
        if directory not in self._directories:
            os.makedirs(directory, exist_ok=True)
            while directory not in self._directories and directory.startswith(self._top):
                self._directories.add(directory)
                directory = os.path.dirname(directory)

    def _make_steps(self, word: str) -> None:
        """Make the directories that a word such as ``a/../b`` passes through."""
        parts = word.split("/")
        for position, part in enumerate(parts):
            if part == ".." and position and parts[position - 1] not in ("..", ".", ""):
                self._make(os.path.normpath(os.path.join(self._work, *parts[:position])))


def _depth_first(item: PlannedInput) -> tuple[int, str]:
    return (0 if item.path == "." else len(item.path.split("/")), item.path)


def _staging_error(error: OSError) -> OffloadError:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError("no space is left for the scratch directory", "name another place: --scratch DIR")
    return OffloadError(f"cannot copy the inputs: {error.filename or ''}: {error.strerror}")
