"""Batch systems: one file each, behind `BatchSystem`."""

from __future__ import annotations

from offload.batch.base import BatchAwayError, BatchSystem, RefusedError
from offload.batch.request import PART, JobRequest, parse_memory, parse_walltime
from offload.batch.state import End, JobState, Phase
from offload.batch.systems import batch_system, is_batch_system, system_names

__all__ = [
    "PART",
    "BatchAwayError",
    "BatchSystem",
    "End",
    "JobRequest",
    "JobState",
    "Phase",
    "RefusedError",
    "batch_system",
    "is_batch_system",
    "parse_memory",
    "parse_walltime",
    "system_names",
]
