"""Deployments of this machine that run in a container of an image."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from offload.compute.places import Place
from offload.deploy.spec import Spec, spec_of
from offload.errors import DamagedError


def python(place: Place, spec: Spec, say: Callable[[str], None]) -> str:
    """Return the file that runs a Python in the container of a deployment, made where it is not there.

    Raises
    ------
    OffloadError
        If the image cannot be used.
    """
    from offload.deploy.sites.here import Here
    from offload.deploy.software.containers import Mounted
    from offload.deploy.software.prepare import prepare

    assert spec.environment is not None
    seen = [*spec.mounts, spec.scratch, spec.buffers, os.path.dirname(spec.database or "")]
    mounted = Mounted(spec.name, place.home, tuple(path for path in seen if path))
    return prepare(Here(), spec.environment, "", say, mounted=mounted).python


@contextlib.contextmanager
def ended(place: Place) -> Iterator[None]:
    """See to it that no container of a deployment of this machine is left after a block that removes its place."""
    from offload.deploy.sites.here import Here
    from offload.deploy.software.containers import FOLDER, container_of, remove

    try:
        contained = spec_of(place).environment is not None
    except (DamagedError, FileNotFoundError):
        contained = False
    container = container_of(Here(), os.path.join(place.path, FOLDER, "python")) if contained else None
    yield
    remove(Here(), container)
