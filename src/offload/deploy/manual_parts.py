"""Parts of a deployment that somebody has started by hand: they live through all but `offload down`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from offload.registry.deployments import Place
from offload.util.files import write_whole
from offload.util.liveness import is_alive, started


@contextlib.contextmanager
def enrolled(place: Place) -> Iterator[None]:
    """Let this process be known as a part of a deployment: `offload down` ends it."""
    pid = os.getpid()
    path = os.path.join(_directory(place), str(pid))
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    write_whole(path, started(pid) or "")
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):  # the deployment has been brought down
            os.unlink(path)


def parts(place: Place) -> dict[int, str]:
    """Return the processes that are known so, and run (id: start time)."""
    found = {}
    try:
        names = [name for name in os.listdir(_directory(place)) if name.isdecimal()]
    except FileNotFoundError:
        return {}
    for name in names:
        with (
            contextlib.suppress(FileNotFoundError),
            open(os.path.join(_directory(place), name), encoding="ascii") as file,
        ):
            since = file.read()
            if is_alive(int(name), since):
                found[int(name)] = since
    return {pid: since for pid, since in found.items() if is_alive(pid, since)}


def _directory(place: Place) -> str:
    return os.path.join(place.path, "parts")
