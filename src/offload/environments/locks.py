"""Lock files of a project: which versions it is meant to run with."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

from offload.environments.installed import canonical
from offload.errors import UsageError

_ROOTS = ("pyproject.toml", ".git", "setup.py", "setup.cfg")


@dataclasses.dataclass(frozen=True)
class Lock:
    """What a lock file says for this machine's Python.

    Attributes
    ----------
    path : str
        The file.
    versions : dict
        Name, in the form in which names are compared, to version.
    """

    path: str
    versions: dict[str, str]

    @property
    def name(self) -> str:
        """The file's name, for people."""
        return os.path.basename(self.path)


def project_of(directory: str) -> str:
    """Return the project that a directory belongs to: itself, where it belongs to none."""
    place = start = os.path.abspath(directory)
    while not any(os.path.exists(os.path.join(place, root)) for root in _ROOTS):
        if place == (place := os.path.dirname(place)):
            return start
    return place


def find_lock(directory: str) -> Lock | None:
    """Return the lock of the project that a directory belongs to, or None.

    Raises
    ------
    UsageError
        If there is one that cannot be read.
    """
    place = os.path.abspath(directory)
    while True:
        for name, reader in _READERS.items():
            path = os.path.join(place, name)
            if os.path.isfile(path):
                found = _read(path, reader)
                if found is not None:
                    return Lock(path, found)
        if any(os.path.exists(os.path.join(place, root)) for root in _ROOTS) or place == os.path.dirname(place):
            return None
        place = os.path.dirname(place)


def _read(path: str, reader: Callable[[bytes], dict[str, str] | None]) -> dict[str, str] | None:
    from packaging.markers import InvalidMarker

    try:
        with open(path, "rb") as file:
            return reader(file.read())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidMarker) as error:
        raise UsageError(f"{path} cannot be read: {error!r}", "make it again, or move it away") from error


def _uv(data: bytes) -> dict[str, str]:
    """Read ``uv.lock``: what the project's own packages need here, without groups for its development."""
    packages: list[dict[str, Any]] = tomllib.loads(data.decode())["package"]
    own = [one for one in packages if {"editable", "virtual", "directory"} & set(one.get("source", {}))]
    versions: dict[str, str] = {}
    waiting: list[tuple[dict[str, Any], str | None]] = [(one, None) for one in own]
    seen: set[tuple[str, str, str | None]] = set()
    while waiting:
        package, extra = waiting.pop()
        mark = (package["name"], package.get("version", ""), extra)
        if mark in seen:
            continue
        seen.add(mark)
        if package not in own:
            versions[canonical(package["name"])] = package["version"]
        needs = package.get("dependencies", []) if extra is None else package["optional-dependencies"][extra]
        for need in needs:
            if not _applies(need.get("marker")):
                continue
            for one in packages:
                same = one["name"] == need["name"] and need.get("version", one.get("version")) == one.get("version")
                if same and any(map(_applies, one.get("resolution-markers", ()) or [None])):
                    waiting.append((one, None))
                    waiting += [(one, name) for name in need.get("extra", ())]
    return versions


def _pylock(data: bytes) -> dict[str, str]:
    """Read ``pylock.toml``: the packages that its default installation has here."""
    document = tomllib.loads(data.decode())
    if not str(document["lock-version"]).startswith("1."):
        raise ValueError(f"its version is {document['lock-version']}, this offload reads 1")
    own = {"extras": [], "dependency_groups": document.get("default-groups", [])}
    return {
        canonical(one["name"]): one["version"]
        for one in document["packages"]
        if "version" in one and "directory" not in one and _applies(one.get("marker"), own)
    }


def _requirements(data: bytes) -> dict[str, str] | None:
    """Read ``requirements.txt``, where it has a version for each name; else it is no lock."""
    from packaging.requirements import InvalidRequirement, Requirement

    versions: dict[str, str] = {}
    for line in _lines(data.decode()):
        try:
            need = Requirement(line)
        except InvalidRequirement:
            return None
        pins = [one.version for one in need.specifier if one.operator in ("==", "===") and "*" not in one.version]
        if len(pins) != 1 or len(need.specifier) != 1:
            return None
        if _applies(str(need.marker) if need.marker else None):
            versions[canonical(need.name)] = pins[0]
    return versions or None


def _lines(text: str) -> Iterator[str]:
    """Give the requirements of a text, without comments and options."""
    for line in text.replace("\\\n", " ").splitlines():
        plain = line.partition(" #")[0].strip()
        if not plain or plain.startswith("#"):
            continue
        if plain.startswith(("--hash", "-i ", "--index-url", "--extra-index-url", "--find-links", "-f ")):
            continue
        yield plain.partition(" --hash")[0].strip()


def _applies(marker: str | None, own: dict[str, Any] | None = None) -> bool:
    from packaging.markers import Marker

    if not marker:
        return True
    if own is None:
        return Marker(marker).evaluate({"extra": ""})
    return Marker(marker).evaluate({name: frozenset(value) for name, value in own.items()}, context="lock_file")


_READERS: dict[str, Callable[[bytes], dict[str, str] | None]] = {
    "uv.lock": _uv,
    "pylock.toml": _pylock,
    "requirements.txt": _requirements,
}
