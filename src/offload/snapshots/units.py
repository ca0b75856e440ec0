"""Which packages and files of projects a program has imported: code that is imported by name imports them, too."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import NamedTuple

from offload.snapshots.metadata import metadata_of, plugged
from offload.transport.sources import MAIN, sources_of


class Units(NamedTuple):
    """What a program has of projects.

    Attributes
    ----------
    places : dict
        Where each package, single module and file of metadata is to lie, and where it lies here.
    loaded : frozenset of str
        The files of the modules that were imported.
    """

    places: dict[str, str]
    loaded: frozenset[str]


_known: tuple[int, Units] = (0, Units({}, frozenset()))


def units() -> Units:
    """Return what this program has imported from projects by now."""
    global _known
    count, known = _known
    if count != len(sys.modules):
        known = _found()
        _known = len(sys.modules), known
    return known


def _found() -> Units:
    modules = []  # name, root and file
    for name in list(sys.modules):
        sources = sources_of(name, read=name == MAIN)
        if sources is not None:
            spec = getattr(sys.modules[name], "__spec__", None)
            (path,) = sources.files
            modules.append((spec.name if spec is not None else name, sources.roots[0], path))
    places: dict[str, str] = {}
    packages: dict[str, str] = {}  # the directories of top-level packages, by their names
    for name, root, path in modules:
        unit = _unit(name, root, path)
        places[unit] = unit
        if unit == os.path.join(root, top(name)):
            packages[top(name)] = unit
    for name, root, path in modules:
        below = os.path.join(root, top(name), "")
        package = packages.get(top(name))
        if package is not None and below != os.path.join(package, "") and path.startswith(below):
            # A part that lies elsewhere, as extension modules may that were built; there it lies with the rest, too.
            places[os.path.join(package, path[len(below) :])] = path
    roots = sorted({root for _, root, _ in modules})
    loaded = {path for _, _, path in modules}
    if roots:
        places |= metadata_of(roots, loaded)
        for name, path in plugged().items():
            if name not in packages:
                places.setdefault(os.path.join(roots[0], os.path.basename(path)), path)
    folders = {unit for unit, here in places.items() if os.path.isdir(here)}
    return Units(
        {unit: here for unit, here in places.items() if unit != here or not _is_within(unit, folders)},
        frozenset(loaded),
    )


def top(name: str) -> str:
    """Return the name of the top-level package of a module."""
    return name.partition(".")[0]


def _is_within(path: str, folders: set[str]) -> bool:
    above = os.path.dirname(path)
    while above != os.path.dirname(above):
        if above in folders:
            return True
        above = os.path.dirname(above)
    return False


def _unit(name: str, root: str, path: str) -> str:
    """Return the package that a module lies in; the file itself where it lies in none."""
    folder = root
    for part in name.split("."):
        folder = os.path.join(folder, part)
        if path.startswith(os.path.join(folder, "")) and _is_package(folder):
            return folder
    return path


@cache
def _is_package(folder: str) -> bool:
    try:
        return any(name.partition(".")[0] == "__init__" for name in os.listdir(folder))
    except OSError:
        return False
