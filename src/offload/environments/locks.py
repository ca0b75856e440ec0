"""Lock files of a project: which versions it is meant to run with."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

from offload.environments.pins import Pin, applies, canonical, pins_of_pylock, pins_of_uv
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


def _toml(read: Callable[[dict[str, Any], str], list[Pin]]) -> Callable[[bytes], dict[str, str]]:
    def versions(data: bytes) -> dict[str, str]:
        pins = read(tomllib.loads(data.decode()), "")
        return {canonical(pin.name): pin.version for pin in pins if pin.version}

    return versions


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
        if applies(str(need.marker) if need.marker else None):
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


_READERS: dict[str, Callable[[bytes], dict[str, str] | None]] = {
    "uv.lock": _toml(pins_of_uv),
    "pylock.toml": _toml(pins_of_pylock),
    "requirements.txt": _requirements,
}
