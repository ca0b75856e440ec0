"""What the environment there is to have: what is installed here, in the versions of the project's lock file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Sequence

from offload.environments.installed import RELEASED, UNLISTED, Installed, installed, required
from offload.environments.locks import Lock, find_lock
from offload.environments.pins import canonical
from offload.environments.probe import wanted_version
from offload.environments.wheels.pack import content_digest
from offload.errors import UsageError

OWN = "offload"
"""The name of the distribution that always belongs to it."""

_FORMAT = 1  # of environments: another number means that all are made anew


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A distribution that is needed there.

    Attributes
    ----------
    name, version : str
        As its metadata or the lock file has them.
    local : Installed or None
        Where it is installed here in this version.
    """

    name: str
    version: str
    local: Installed | None

    @property
    def is_released(self) -> bool:
        """Whether every wheel of this name and version will do."""
        return self.local is None or self.local.kind == RELEASED

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@dataclasses.dataclass(frozen=True)
class Needs:
    """All that is needed.

    Attributes
    ----------
    wanted : tuple of Wanted
        The distributions.
    differences : tuple of str
        What is installed here otherwise than the lock file says.
    left_out : tuple of str
        What is installed here and cannot be brought elsewhere.
    lock : str or None
        The lock file.
    """

    wanted: tuple[Wanted, ...]
    differences: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    lock: str | None = None

    def name(self, *more: str) -> str:
        """Return the name of the environment that has all this: a digest, the same for the same needs."""
        listed = [
            [
                canonical(one.name),
                one.version,
                "" if one.is_released or one.local is None else content_digest(one.local),
            ]
            for one in self.wanted
        ]
        text = json.dumps([_FORMAT, wanted_version(), getattr(sys, "abiflags", ""), sorted(listed), more])
        return f"{wanted_version()}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def needed_here(directory: str | None = None, only: Sequence[str] = ()) -> Needs:
    """Return what work from here needs: all that is installed, in the versions of the project's lock file.

    Parameters
    ----------
    directory : str, optional
        The project; by default the one that the current directory belongs to.
    only : sequence of str, optional
        Only these distributions, offload, and what they require.

    Raises
    ------
    UsageError
        If one of `only` is not installed here.
    """
    here = installed()
    lock = find_lock(directory or os.getcwd())
    if not only:
        return needs(here, lock)
    unknown = {canonical(name) for name in only} - {one.key for one in here}
    if unknown:
        raise UsageError(f"{', '.join(sorted(unknown))} is not installed here", "give names as pip list shows them")
    chosen = required([OWN, *only], here)
    if lock is not None:
        keys = {one.key for one in chosen}
        lock = dataclasses.replace(lock, versions={key: v for key, v in lock.versions.items() if key in keys})
    return needs(chosen, lock)


def needs(among: Sequence[Installed], lock: Lock | None = None) -> Needs:
    """Return what is needed, of what is installed here and what a lock file says.

    Parameters
    ----------
    among : sequence of Installed
        What is installed here, as far as it counts.
    lock : Lock, optional
        Its versions go before those that are installed.
    """
    versions = dict(lock.versions) if lock is not None else {}
    wanted, differences, left_out = [], [], []
    for one in among:
        locked = versions.pop(one.key, None)
        if locked is not None and not _same(locked, one.version) and one.kind in (RELEASED, UNLISTED):
            assert lock is not None
            differences.append(f"{one.name} {one.version} here, {locked} in {lock.name}")
            wanted.append(Wanted(one.name, locked, None))
        elif one.kind == UNLISTED and locked is None:
            left_out.append(f"{one.name} {one.version}")
        elif one.kind == UNLISTED:
            wanted.append(Wanted(one.name, one.version, None))
        else:
            wanted.append(Wanted(one.name, one.version, one))
    for key, version in versions.items():
        assert lock is not None
        differences.append(f"{key} is not installed here, {version} in {lock.name}")
        wanted.append(Wanted(key, version, None))
    return Needs(tuple(wanted), tuple(differences), tuple(left_out), os.path.abspath(lock.path) if lock else None)


def _same(one: str, other: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other
