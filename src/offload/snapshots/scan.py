"""What lies in the packages of a program, now: the files that travel, and those that are left out."""

from __future__ import annotations

import os
import stat
import time
from typing import NamedTuple

from offload.snapshots.units import Units

LARGEST = 64 * 1024 * 1024
"""So many bytes of a program's packages travel; the smallest files first, after the modules that were imported."""

MOST = 10_000
"""So many files of a package travel."""

FRESH = 2.0
"""Seconds: the coarsest clock of a file system ticks so."""

_SKIPPED = {"__pycache__", "node_modules"}
_CODE = (".pyc", ".pyo")

State = tuple[int, int, int, int, int]
"""What changes when a file does."""


class File(NamedTuple):
    """A file of a unit.

    Attributes
    ----------
    unit : str
        The unit.
    name : str
        Relative to it; "" where it is a single file.
    path : str
        Where it lies here.
    state : State
        Of now.
    executable : bool
        Whether it may be executed.
    size : int
        In bytes.
    """

    unit: str
    name: str
    path: str
    state: State
    executable: bool
    size: int

    def is_fresh(self) -> bool:
        """Tell whether it was changed so lately that another change may not show in its times."""
        return max(self.state[1], self.state[2]) > (time.time() - FRESH) * 1e9


class Scan(NamedTuple):
    """The files of a program's packages.

    Attributes
    ----------
    files : list of File
        Those that travel.
    left_out : list of (str, int)
        The paths and sizes of the others.
    """

    files: list[File]
    left_out: list[tuple[str, int]]


def scan(units: Units) -> Scan:
    """Look at all files of units; nothing is read."""
    found: list[File] = []
    left_out: list[tuple[str, int]] = []
    for unit, here in units.places.items():
        if not os.path.isdir(here):
            _add(found, unit, "", here)
            continue
        names = _below(here)
        if len(names) >= MOST:
            left_out.append((os.path.join(here, "..."), 0))
        inner = os.path.join(here, "")
        names |= {path[len(inner) :] for path in units.loaded if path.startswith(inner)}
        for name in sorted(names):
            _add(found, unit, name, os.path.join(here, name))
    needed = [file for file in found if file.path in units.loaded]
    others = sorted((file for file in found if file.path not in units.loaded), key=lambda file: (file.size, file.path))
    size = sum(file.size for file in needed)
    for file in others:
        size += file.size
        if size > LARGEST:
            left_out.append((file.path, file.size))
        else:
            needed.append(file)
    return Scan(sorted(needed, key=lambda file: (file.unit, file.name)), left_out)


def _below(folder: str) -> set[str]:
    """Return the names of the files below a directory, but for those of version control, caches and environments."""
    found: set[str] = set()
    pending, seen = [""], set()
    while pending and len(found) < MOST:
        prefix = pending.pop()
        try:
            place = os.path.realpath(os.path.join(folder, prefix))
            with os.scandir(place) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            continue  # what cannot be read here cannot be used here
        if place in seen or any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        seen.add(place)
        for entry in entries:
            if entry.name[0] == "." or entry.name in _SKIPPED or entry.name.endswith(_CODE):
                continue
            if entry.is_dir():
                pending.append(f"{prefix}{entry.name}/")
            else:
                found.add(prefix + entry.name)
    return found


def _add(found: list[File], unit: str, name: str, path: str) -> None:
    try:
        about = os.stat(path)
    except OSError:  # a link that leads nowhere, or it has gone just now
        return
    if stat.S_ISREG(about.st_mode) and os.access(path, os.R_OK):
        state = about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, about.st_dev
        found.append(File(unit, name, path, state, bool(about.st_mode & 0o100), about.st_size))
