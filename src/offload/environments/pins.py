"""What lock files of uv and of pip's standard pin: a version of each distribution, its hashes, and where it is had."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from offload.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class Pin(NamedTuple):
    """A distribution in one version.

    Attributes
    ----------
    name, version : str
        As the lock has them.
    hashes : tuple of str
        Such as ``sha256:9f2c...``, of each file that will do; none where the lock has none.
    url : str
        Where it is had, where that is no index: a file, an archive, or a repository with its commit.
    place : str
        The index, or the directory, that has it; "" where the lock does not tell.
    """

    name: str
    version: str
    hashes: tuple[str, ...] = ()
    url: str = ""
    place: str = ""


def canonical(name: str) -> str:
    """Return a name in the form in which names are compared.

    Examples
    --------
    >>> canonical("Zope.Interface"), canonical("a__b")
    ('zope-interface', 'a-b')
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def pins_of_uv(document: dict[str, Any], directory: str) -> list[Pin]:
    """Return what ``uv.lock`` pins: what the project's own packages need here, without groups for its development.

    Parameters
    ----------
    document : dict
        What the file holds.
    directory : str
        Where it lies.
    """
    packages: list[dict[str, Any]] = document["package"]
    own = [one for one in packages if {"editable", "virtual", "directory"} & set(one.get("source", {}))]
    found: dict[str, Pin] = {}
    waiting: list[tuple[dict[str, Any], str | None]] = [(one, None) for one in own]
    seen: set[tuple[str, str, str | None]] = set()
    while waiting:
        package, extra = waiting.pop()
        mark = (package["name"], package.get("version", ""), extra)
        if mark in seen:
            continue
        seen.add(mark)
        if package not in own:
            found[canonical(package["name"])] = _of_uv(package, directory)
        needs = package.get("dependencies", []) if extra is None else package["optional-dependencies"][extra]
        for need in needs:
            if not applies(need.get("marker")):
                continue
            for one in packages:
                same = one["name"] == need["name"] and need.get("version", one.get("version")) == one.get("version")
                if same and any(map(applies, one.get("resolution-markers", ()) or [None])):
                    waiting.append((one, None))
                    waiting += [(one, name) for name in need.get("extra", ())]
    return list(found.values())


def _of_uv(package: dict[str, Any], directory: str) -> Pin:
    source: dict[str, str] = package.get("source", {})
    files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
    hashes = tuple(one["hash"] for one in files) if all("hash" in one for one in files) else ()
    url, index = source.get("url", ""), source.get("registry", "")
    if "git" in source:
        address, _, commit = source["git"].partition("#")
        address, _, query = address.partition("?")
        below = next((one for one in query.split("&") if one.startswith("subdirectory=")), "")
        url = f"git+{address}@{commit}{below and f'#{below}'}"
    elif "path" in source:
        url = _file(directory, source["path"])
    if index and "://" not in index:
        index = os.path.join(directory, index)
    return Pin(package["name"], package["version"], hashes, url, index)


def pins_of_pylock(document: dict[str, Any], directory: str) -> list[Pin]:
    """Return what ``pylock.toml`` pins: the packages that its default installation has here; see `pins_of_uv`."""
    if not str(document["lock-version"]).startswith("1."):
        raise ValueError(f"its version is {document['lock-version']}, this offload reads 1")
    own = {"extras": [], "dependency_groups": document.get("default-groups", [])}
    return [
        _of_pylock(one, directory)
        for one in document["packages"]
        if "directory" not in one and applies(one.get("marker"), own)
    ]


def _of_pylock(package: dict[str, Any], directory: str) -> Pin:
    version = package.get("version", "")
    if "vcs" in package:
        vcs = package["vcs"]
        address = vcs.get("url") or _file(directory, vcs["path"])
        below = f"#subdirectory={vcs['subdirectory']}" if "subdirectory" in vcs else ""
        return Pin(package["name"], version, url=f"{vcs['type']}+{address}@{vcs['commit-id']}{below}")
    if "archive" in package:
        archive = package["archive"]
        return Pin(package["name"], version, tuple(_hashes(archive)), _place(archive, directory))
    files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
    paths = [one["path"] for one in files if "path" in one]
    index = os.path.dirname(os.path.join(directory, paths[0])) if paths else package.get("index", "")
    return Pin(package["name"], version, tuple(text for one in files for text in _hashes(one)), place=index)


def _hashes(file: dict[str, Any]) -> Iterator[str]:
    yield from (f"{name}:{digest}" for name, digest in file.get("hashes", {}).items())


def _file(directory: str, path: str) -> str:
    from pathlib import Path

    return Path(directory or os.curdir, path).absolute().as_uri()


def _place(file: dict[str, Any], directory: str) -> str:
    return str(file.get("url") or _file(directory, file["path"]))


def check_python(document: dict[str, Any]) -> None:
    """Make sure that a lock is for this version of Python.

    Raises
    ------
    UsageError
        If it is not.
    """
    import platform

    from packaging.specifiers import SpecifierSet

    wanted = document.get("requires-python")
    if wanted and not SpecifierSet(wanted).contains(platform.python_version(), prereleases=True):
        raise UsageError(
            f"it is for Python {wanted}, and this is {platform.python_version()}",
            'name an environment of such a Python: environment=".venv"',
        )


def applies(marker: str | None, own: dict[str, Any] | None = None) -> bool:
    """Tell whether a marker holds for this Python, in a lock with such extras and groups."""
    from packaging.markers import Marker

    if not marker:
        return True
    if own is None:
        return Marker(marker).evaluate({"extra": ""})
    return Marker(marker).evaluate({name: frozenset(value) for name, value in own.items()}, context="lock_file")


READERS: dict[str, Callable[[dict[str, Any], str], list[Pin]]] = {"uv.lock": pins_of_uv, "pylock.toml": pins_of_pylock}
"""By the names of lock files; a pylock may be called ``pylock.NAME.toml``."""


def reader_of(path: str) -> Callable[[dict[str, Any], str], list[Pin]] | None:
    """Return what reads a lock file, by its name; None where it is no such file."""
    name = os.path.basename(path)
    return READERS.get("pylock.toml" if re.fullmatch(r"pylock\.[^.]+\.toml", name) else name)


def requirements(pins: list[Pin]) -> list[str]:
    """Return lists of requirements as pip and uv take them, to be installed one after the other, without dependencies.

    What has hashes stands in one of its own: there, nothing else is accepted.
    """
    hashed = [pin for pin in pins if pin.hashes and not pin.url.startswith("git+")]
    others = [pin for pin in pins if pin not in hashed]
    return [_options(some) + "".join(map(_line, some)) for some in (hashed, others) if some]


def _options(pins: list[Pin]) -> str:
    """Return where else than at the usual index something is had."""
    found = dict.fromkeys(pin.place.rstrip("/") for pin in pins if not pin.url)
    others = [index for index in found if index and not index.startswith("https://pypi.org/")]
    return "".join(f"--{'extra-index-url' if '://' in index else 'find-links'} {index}\n" for index in others)


def _line(pin: Pin) -> str:
    what = f"{pin.name} @ {pin.url}" if pin.url else f"{pin.name}=={pin.version}"
    hashes = () if pin.url.startswith("git+") else pin.hashes
    return f"{what}{''.join(f' --hash={one}' for one in hashes)}\n"
