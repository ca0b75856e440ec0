"""What a snapshot of a project's files says: which files it holds, where they lie, and the contents of each."""

from __future__ import annotations

import os
import sysconfig
from typing import NamedTuple

from offload.errors import DecodeError
from offload.identity.values.encode import encode

VERSION = 1


class Entry(NamedTuple):
    """A file.

    Attributes
    ----------
    name : str
        Relative to its unit, with ``/`` between the parts; "" where the unit is a single file.
    checksum : str
        Of its content.
    executable : bool
        Whether it may be executed.
    size : int
        In bytes.
    """

    name: str
    checksum: str
    executable: bool
    size: int


Units = dict[str, tuple[Entry, ...]]
"""Packages and single files by their absolute paths, with what they hold."""


class Manifest:
    """What a snapshot holds.

    Parameters
    ----------
    units : dict
        Packages and single files.
    platform : str, optional
        What the machine is that its extension modules were made for.
    """

    __slots__ = ("platform", "units")

    def __init__(self, units: Units, platform: str | None = None) -> None:
        self.units = units
        self.platform = sysconfig.get_platform() if platform is None else platform

    def encoded(self) -> bytes:
        """Return its buffer."""
        units = [[path, [list(entry) for entry in entries]] for path, entries in sorted(self.units.items())]
        return encode({"version": VERSION, "kind": "snapshot", "platform": self.platform, "units": units})

    @classmethod
    def decoded(cls, data: bytes) -> Manifest:
        """Return what a buffer says.

        Raises
        ------
        DecodeError
            If it is not a manifest, if a newer version has written it, or if a name in it would lead elsewhere.
        """
        from offload.identity.values.decode import decode

        value = decode(data)
        if not isinstance(value, dict) or value.get("kind") != "snapshot":
            raise DecodeError("the buffer is not the manifest of a snapshot")
        if value.get("version") != VERSION:
            raise DecodeError(f"a snapshot of version {value.get('version')} needs a newer offload")
        units: Units = {}
        for path, entries in value["units"]:
            if not path.startswith("/") or not _is_plain(path[1:]):
                raise DecodeError(f"a snapshot cannot hold {path!r}")
            units[path] = tuple(Entry(*entry) for entry in entries)
            for entry in units[path]:
                if entry.name and not _is_plain(entry.name):
                    raise DecodeError(f"a snapshot cannot hold {entry.name!r}")
        return cls(units, value["platform"])


def path_of(unit: str, entry: Entry) -> str:
    """Return the absolute path of a file of a unit."""
    return os.path.join(unit, entry.name) if entry.name else unit


def _is_plain(name: str) -> bool:
    """Tell whether a relative name leads to what lies below, and nowhere else."""
    return "\0" not in name and all(part not in ("", ".", "..") for part in name.split("/"))
