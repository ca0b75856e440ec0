"""Which batch systems there are: those of this package, and those that other packages bring along as entry points."""

from __future__ import annotations

import functools
import importlib

from offload.batch.base import BatchSystem
from offload.errors import UsageError
from offload.hosts.base import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "offload.batch_systems"
"""The group of entry points: a name as users write it, and the subclass of `BatchSystem`."""

OWN = {
    "slurm": "slurm.Slurm",
    "sge": "sge.Sge",
    "pbs": "pbs.Pbs",
    "torque": "pbs.Torque",
    "moab": "moab.Moab",
    "lsf": "lsf.Lsf",
    "oar": "oar.Oar",
    "htcondor": "htcondor.HTCondor",
}

_NEVER = ("local", "process", "existing", "ssh", "tls", "tcp")  # what users write in the same places


@functools.cache
def _brought() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP) if point.name not in (*OWN, *_NEVER)}


def system_names() -> list[str]:
    """Return the names of all batch systems: those of this package first."""
    return [*OWN, *sorted(_brought())]


def is_batch_system(name: str) -> bool:
    """Tell whether a batch system has this name."""
    return name in OWN or (name not in _NEVER and name in _brought())


def batch_system(name: str, site: Site | None = None) -> BatchSystem:
    """Return a batch system by its name.

    Raises
    ------
    UsageError
        If there is none of this name, or the package that brings it along is broken.
    """
    if not is_batch_system(name):
        raise UsageError(f"there is no batch system {name}", f"there are: {', '.join(system_names())}")
    if name in OWN:
        module, kind = OWN[name].split(".")
        made: BatchSystem = getattr(importlib.import_module(f"offload.batch.{module}"), kind)(site)
        return made
    point = _brought()[name]
    owner = "" if point.dist is None else f" of {point.dist.name} {point.dist.version}"
    try:
        found = point.load()
    except Exception as exc:  # whatever the code of another package raises
        raise UsageError(f"the batch system {name}{owner} cannot be imported: {type(exc).__name__}: {exc}") from exc
    if not (isinstance(found, type) and issubclass(found, BatchSystem)):
        raise UsageError(f"the batch system {name}{owner} is not a subclass of BatchSystem: {point.value}")
    return found(site)
