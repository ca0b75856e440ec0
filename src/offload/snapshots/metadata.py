"""The metadata of projects that were installed from their directories: by it their plug-ins are found, anywhere."""

from __future__ import annotations

import configparser
import json
import os
import sys
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_KEPT = ("METADATA", "PKG-INFO", "entry_points.txt", "top_level.txt")  # not what tells where it was installed
_SCRIPTS = {"console_scripts", "gui_scripts"}


class Project(NamedTuple):
    """A distribution that was installed from a directory.

    Attributes
    ----------
    metadata : str
        The directory of its metadata.
    source : str
        Where it was installed from.
    plugs : frozenset of str
        The top-level packages that its entry points lead to, but for scripts.
    """

    metadata: str
    source: str
    plugs: frozenset[str]


def metadata_of(roots: list[str], loaded: set[str]) -> dict[str, str]:
    """Return the metadata of the projects that files belong to: where each of its files is to lie, and where it is.

    Parameters
    ----------
    roots : list of str
        Where the imports of these files begin.
    loaded : set of str
        The files.
    """
    found: dict[str, str] = {}
    for root in roots:
        for name in _folders(root):
            if not os.path.exists(os.path.join(root, name, "RECORD")):  # that of a checkout
                found |= _files(os.path.join(root, name), root)
    for project in projects():
        site = os.path.dirname(project.metadata)
        below = os.path.join(project.source, "")
        if site in roots:
            found |= _files(project.metadata, site)
        elif project.plugs or any(path.startswith(below) for path in loaded):
            root = next((each for each in roots if os.path.join(each, "").startswith(below)), roots[0])
            found |= _files(project.metadata, root)
    return found


def plugged() -> dict[str, str]:
    """Return the packages and modules that entry points of projects lead to, by their names: they may be imported."""
    found = {}
    for name in sorted({name for project in projects() for name in project.plugs}):
        try:
            spec = find_spec(name)
        except (ImportError, ValueError):
            continue
        place = spec.origin if spec is not None and spec.has_location else None
        if place is not None and os.path.isfile(place):
            is_package = os.path.basename(place).startswith("__init__.")
            found[name] = os.path.dirname(place) if is_package else place
    return found


@cache
def projects() -> tuple[Project, ...]:
    """Return the distributions that were installed from directories."""
    found = []
    for site in dict.fromkeys(os.path.abspath(path) for path in sys.path):
        for name in _folders(site):
            folder = os.path.join(site, name)
            source = _source(folder)
            if source is not None and not name.startswith("offload-"):
                found.append(Project(folder, source, _plugs(folder)))
    return tuple(found)


def _folders(root: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(root) if name.endswith((".dist-info", ".egg-info")))
    except OSError:
        return []


def _source(folder: str) -> str | None:
    """Return the directory that a distribution was installed from, or None."""
    try:
        with open(os.path.join(folder, "direct_url.json"), encoding="utf-8") as file:
            told = json.load(file)
    except (OSError, ValueError):
        return None
    return unquote(urlsplit(told["url"]).path) if "dir_info" in told else None


def _plugs(folder: str) -> frozenset[str]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    try:
        parser.read(os.path.join(folder, "entry_points.txt"), encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return frozenset()
    values = (value for group in parser.sections() if group not in _SCRIPTS for _, value in parser.items(group))
    return frozenset(value.partition(":")[0].partition(".")[0].strip() for value in values)


def _files(folder: str, root: str) -> dict[str, str]:
    if not os.path.isdir(folder):
        return {}
    there = (each for each in _KEPT if os.path.isfile(os.path.join(folder, each)))
    return {os.path.join(root, os.path.basename(folder), each): os.path.join(folder, each) for each in there}
