"""What is installed in the environment of this process, and where each distribution has come from."""

from __future__ import annotations

import dataclasses
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import Distribution, PathDistribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from offload.environments.pins import canonical

RELEASED, PROJECT, DIRECT, UNLISTED = "released", "project", "direct", "unlisted"
"""From an index, so it is known by name and version; from a directory of the user's; from an address, a repository or a
file; without a list of its files, as the operating system installs them."""

TOOLS = frozenset(("pip", "setuptools", "wheel", "uv", "pkg-resources"))
"""What installs others, and is needed by none."""

_SYSTEM = "/usr/lib/python3/dist-packages"
_SITES = ("site-packages", "dist-packages")


@dataclasses.dataclass(frozen=True)
class Installed:
    """A distribution that is installed here.

    Attributes
    ----------
    name, version : str
        As its metadata has them.
    kind : str
        `RELEASED`, `PROJECT`, `DIRECT` or `UNLISTED`.
    root : str
        The directory that its modules are imported from; for an editable one, where its metadata lies.
    metadata : str
        Its ``.dist-info`` or ``.egg-info``.
    source : str or None
        The directory that an editable one is imported from in place.
    portable : bool
        Whether it works elsewhere: compiled ones of conda and of the operating system need libraries beside them.
    """

    name: str
    version: str
    kind: str
    root: str
    metadata: str
    source: str | None = None
    portable: bool = True

    @property
    def key(self) -> str:
        """The name in the form in which names are compared."""
        return canonical(self.name)

    def distribution(self) -> Distribution:
        """Return it as `importlib.metadata` has it."""
        return PathDistribution(Path(self.metadata))


def site_directories() -> list[str]:
    """Return the directories of this process's path that distributions are installed in."""
    own = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    found = [path for path in sys.path if os.path.basename(path) in _SITES]
    return list(dict.fromkeys(os.path.abspath(path) for path in (*found, *own) if os.path.isdir(path)))


def installed(directories: Sequence[str] | None = None) -> list[Installed]:
    """Return the distributions that are installed here, by name.

    Parameters
    ----------
    directories : sequence of str, optional
        Where to look; by default where this process imports from. What comes first hides the others.
    """
    found: dict[str, Installed] = {}
    for directory in site_directories() if directories is None else directories:
        for one in _in_directory(directory):
            found.setdefault(one.key, one)
    return [found[key] for key in sorted(found)]


def _in_directory(directory: str) -> Iterator[Installed]:
    for entry in sorted(os.listdir(directory)):
        if entry.endswith(".egg-link"):
            with open(os.path.join(directory, entry), encoding="utf-8") as file:
                source = os.path.join(directory, file.readline().strip())
            for found in distributions(path=[source]):
                made = _described(found, source, source)
                yield from [made] if made is not None else []
    for found in distributions(path=[directory]):
        made = _described(found, directory, None)
        yield from [made] if made is not None else []


def _described(found: Distribution, root: str, source: str | None) -> Installed | None:
    metadata = str(getattr(found, "_path", ""))
    name, version = found.metadata["Name"], found.metadata["Version"]
    if not metadata or not name or not version:
        return None  # the rest of one that was half removed
    kind, editable = _kind(found)
    portable = _is_pure(found) or not (root == _SYSTEM or os.path.isdir(os.path.join(sys.prefix, "conda-meta")))
    if source is not None:
        return Installed(name, version, PROJECT, root, metadata, source)
    return Installed(name, version, kind, root, metadata, editable, portable)


def _kind(found: Distribution) -> tuple[str, str | None]:
    """Return the kind, and for an editable one its directory."""
    import json

    text = found.read_text("direct_url.json")
    if not found.read_text("RECORD"):
        return UNLISTED, None
    if text is None:
        return RELEASED, None
    origin: dict[str, Any] = json.loads(text)
    if "dir_info" not in origin:
        return DIRECT, None
    if "conda" in (found.read_text("INSTALLER") or ""):
        return RELEASED, None  # where conda has built it
    editable = origin["dir_info"].get("editable", False)
    return PROJECT, unquote(urlsplit(origin["url"]).path) if editable else None


def _is_pure(found: Distribution) -> bool:
    return "root-is-purelib: true" in (found.read_text("WHEEL") or "").lower()


def required(names: Iterable[str], among: Sequence[Installed]) -> list[Installed]:
    """Return those distributions that are named, and all that these require, as far as they are installed."""
    from packaging.requirements import Requirement

    by_key = {one.key: one for one in among}
    wanted: list[tuple[str, frozenset[str]]] = [(canonical(name), frozenset()) for name in names]
    seen: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        key, extras = wanted.pop()
        if (key, extras) in seen or key not in by_key:
            continue
        seen.add((key, extras))
        for text in by_key[key].distribution().requires or ():
            need = Requirement(text)
            marker = need.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (extras or {""})):
                wanted.append((canonical(need.name), frozenset(need.extras)))
    return [by_key[key] for key in sorted({key for key, _ in seen})]
