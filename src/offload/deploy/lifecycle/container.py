"""Deployments of this machine that run in a container of an image."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from offload.deploy.config.spec import Spec, spec_of
from offload.errors import DamagedError
from offload.registry.deployments import Place


def python(place: Place, spec: Spec, say: Callable[[str], None]) -> str:
    """Return the file that runs a Python in the container of a deployment, made where it is not there.

    Raises
    ------
    OffloadError
        If the image cannot be used.
    """
    from offload.environments.containers import Mounted
    from offload.environments.prepare import prepare
    from offload.hosts.local import Here

    assert spec.environment is not None
    seen = [*spec.mounts, spec.scratch, spec.buffers, os.path.dirname(spec.database or "")]
    mounted = Mounted(spec.name, place.home, tuple(path for path in seen if path))
    return prepare(Here(), spec.environment, "", say, mounted=mounted).python


@contextlib.contextmanager
def ended(place: Place) -> Iterator[None]:
    """See to it that no container of a deployment of this machine is left after a block that removes its place."""
    from offload.environments.containers import FOLDER, container_of, remove
    from offload.hosts.local import Here

    try:
        contained = spec_of(place).environment is not None
    except (DamagedError, FileNotFoundError):
        contained = False
    container = container_of(Here(), os.path.join(place.path, FOLDER, "python")) if contained else None
    yield
    remove(Here(), container)
