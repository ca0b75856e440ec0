"""Where results are kept: as the environment says, or the deployment in use, or else in the home.

This is asked at every recall, of which it may not be a part worth mentioning: what files say is believed for some
milliseconds.
"""

from __future__ import annotations

import os
import time

from offload.registry.active import EMBEDDED, innermost
from offload.registry.deployments import VARIABLE, Registry, believed
from offload.storage.home import ALSO, BUFFERS, DATABASE, home_path, unreachable
from offload.util.trust import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from offload.registry.deployments import Place

# Asking `os.environ` for what it does not hold takes longer than all else here.
_environment: Mapping[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]
_BUFFERS, _DATABASE, _ALSO, _VARIABLE = BUFFERS.encode(), DATABASE.encode(), ALSO.encode(), VARIABLE.encode()
_HOME = b"OFFLOAD_HOME"

Kept = tuple[str | None, str | None, str]
"""Paths of a store and a database, None for those of the home; and the deployments whose storage is read through."""

NOTHING: Kept = (None, None, "")
LOOK_EVERY = 0.005
"""Seconds for which it is believed which deployment is in use, and where that keeps its storage."""

_homes: dict[bytes, str] = {}


def home() -> str:
    """Return the home of this process, as :func:`offload.storage.home.home_path` does, sooner."""
    raw = _environment.get(_HOME, b"")
    path = _homes.get(raw)
    if path is None:
        path = home_path()
        if os.path.isabs(raw):  # else other things count as well
            _homes[raw] = path
    return path


def kept(home: str) -> Kept:
    """Return where the results of this process are kept now.

    What ``OFFLOAD_BUFFERS``, ``OFFLOAD_DATABASE`` and ``OFFLOAD_ALSO`` name comes first; where none of them is set, the
    active deployment's.

    Parameters
    ----------
    home : str
        The home directory.
    """
    buffers, database, also = _environment.get(_BUFFERS), _environment.get(_DATABASE), _environment.get(_ALSO)
    if buffers or database or also:
        return kept_embedded()
    choice = innermost()
    named = _environment.get(_VARIABLE)
    name = choice.deployment if choice is not None else os.fsdecode(named) if named else ""
    known: tuple[float, Kept] | None = believed.get((home, name))
    now = time.monotonic()
    if known is None or not known[0] <= now < known[0] + LOOK_EVERY:
        known = believed[home, name] = now, kept_by(home, name)
    return known[1]


def kept_embedded() -> Kept:
    """Return where results are kept where no deployment has a say."""
    buffers, database, also = (os.fsdecode(_environment.get(name, b"")) for name in (_BUFFERS, _DATABASE, _ALSO))
    return buffers or None, database or None, also


def kept_by(home: str, name: str) -> Kept:
    """Return what the deployment of this name keeps its storage in; without a name, the one in use."""
    registry = Registry(home)
    name = name or registry.in_use() or EMBEDDED
    if name == EMBEDDED:
        return NOTHING
    path = os.path.join(registry.root, name, "storage")
    check(path)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            buffers, database, also, *_ = [*file.read().split("\n"), "", ""]
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    except OSError as error:
        raise unreachable(path, error) from error
    return buffers or None, database or None, also


def is_elsewhere(place: Place) -> bool:
    """Tell whether a deployment is on another machine: it has its own storage, which is read through here."""
    return place.name in kept_by(place.home, place.name)[2].split(",")
