"""Batch systems: one file each, behind `BatchSystem`."""

from __future__ import annotations

import importlib

from offload.batch.base import BatchAwayError, BatchSystem, RefusedError
from offload.batch.request import PART, JobRequest, parse_memory, parse_walltime
from offload.batch.state import End, JobState, Phase
from offload.errors import UsageError
from offload.hosts.base import Site

SYSTEMS = {
    "slurm": "slurm.Slurm",
    "sge": "sge.Sge",
    "pbs": "pbs.Pbs",
    "torque": "pbs.Torque",
    "moab": "moab.Moab",
    "lsf": "lsf.Lsf",
    "oar": "oar.Oar",
    "htcondor": "htcondor.HTCondor",
}
"""Their names, and where they are."""

__all__ = [
    "PART",
    "SYSTEMS",
    "BatchAwayError",
    "BatchSystem",
    "End",
    "JobRequest",
    "JobState",
    "Phase",
    "RefusedError",
    "batch_system",
    "parse_memory",
    "parse_walltime",
]


def batch_system(name: str, site: Site | None = None) -> BatchSystem:
    """Return a batch system by its name.

    Raises
    ------
    UsageError
        If there is none of this name.
    """
    if name not in SYSTEMS:
        raise UsageError(f"there is no batch system {name}", f"there are: {', '.join(SYSTEMS)}")
    module, kind = SYSTEMS[name].split(".")
    made: BatchSystem = getattr(importlib.import_module(f"offload.batch.{module}"), kind)(site)
    return made
