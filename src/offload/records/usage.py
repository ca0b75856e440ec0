"""What a run used of its machine: for people who look at the history, and never part of what a result is."""

from __future__ import annotations

import sys

from offload.identity.values.decode import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from resource import struct_rusage
    from typing import Any, Protocol

    from offload.registry.session import Session
    from offload.storage.records import Run

    class Using(Protocol):
        """Anything that tells what it used."""

        cpu_seconds: float | None
        peak_memory_bytes: int | None


NAMES = ("cpu_seconds", "peak_memory_bytes")
"""Processor time, in user code and in the system, and the most memory that one process held at a time."""

UNIT = 1 if sys.platform == "darwin" else 1024


def of_rusage(usage: struct_rusage) -> tuple[float, int]:
    """Return the processor time and the peak memory of a process that has ended, with the children it waited for."""
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * UNIT


def used(one: Using) -> dict[str, object]:
    """Return what is known of what a run used, for the details that are recorded of it."""
    return {name: value for name in NAMES if (value := getattr(one, name)) is not None}


def used_by(run: Run) -> dict[str, float | int | None]:
    """Return what a recorded run used; None for what is not known of it."""
    details = decode(run.details) if run.details else {}
    assert isinstance(details, dict)
    return {name: details.get(name) for name in NAMES}


def last_used(session: Session, transformation: str) -> dict[str, float | int | None]:
    """Return how long the last run of a transformation took, and what it used; nothing where there is none."""
    runs = session.database.runs(transformation=transformation, limit=1)
    return {"seconds": runs[0].seconds, **used_by(runs[0])} if runs else {}


def used_text(used: Mapping[str, Any]) -> str:
    """Return what `last_used` gave as a line for people; "" where there is nothing to tell.

    Examples
    --------
    >>> used_text({"seconds": 1.25, "cpu_seconds": 0.5, "peak_memory_bytes": 9_512_000})
    'its last run took 1.25 s, 0.5 s of processor time, and at most 9.5 MB of memory'
    >>> used_text({"seconds": 0.00123, "cpu_seconds": None, "peak_memory_bytes": None})
    'its last run took 0.00123 s'
    """
    if not used:
        return ""
    seconds, size = used.get("cpu_seconds"), used.get("peak_memory_bytes")
    text = f"its last run took {used['seconds']:.3g} s"
    text += "" if seconds is None else f", {seconds:.3g} s of processor time"
    return text + ("" if size is None else f", and at most {size / 1e6:.1f} MB of memory")
