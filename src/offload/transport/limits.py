"""What calls and runners may use, and what is said when they use more."""

from __future__ import annotations

import math

from offload.errors import MemoryLimitError, TimeLimitError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


Limits = tuple[float | None, int | None]
"""What one call may use: seconds, and bytes of its process with all children of that."""

UNLIMITED: Limits = (None, None)


def parse_limits(timeout: Any, memory: Any) -> Limits:
    """Return limits in the one form in which they are kept.

    Raises
    ------
    UsageError
        If they are none.

    Examples
    --------
    >>> parse_limits(90, "2GB"), parse_limits(None, "1.5 MiB")
    ((90.0, 2000000000), (None, 1572864))
    """
    if timeout is not None and (
        isinstance(timeout, bool)
        or not isinstance(timeout, int | float)
        or not (math.isfinite(timeout) and timeout > 0)
    ):
        raise UsageError(f"timeout={timeout!r} is not a time limit", "give seconds, such as timeout=90")
    return None if timeout is None else float(timeout), None if memory is None else _bytes(memory)


_UNITS = {
    unit: factor**power
    for power, letter in enumerate("kMGTP", 1)
    for unit, factor in ((f"{letter}B", 1000), (f"{letter}iB", 1024))
}


def _bytes(memory: Any) -> int:
    size, unit = memory, 1
    if isinstance(memory, str):
        text = memory.strip()
        name = next((name for name in _UNITS if text.lower().endswith(name.lower())), "")
        size, unit = text[: len(text) - len(name)], _UNITS.get(name, 1)
    try:
        found = -1 if isinstance(memory, bool) else int(float(size) * unit)
    except (TypeError, ValueError, OverflowError):
        found = -1
    if found <= 0:
        raise UsageError(f"memory={memory!r} is not a size", 'give bytes, or write it as "2GB" or "500 MiB"')
    return found


def too_long(seconds: float) -> TimeLimitError:
    """Return the error of a call that took too long."""
    return TimeLimitError(
        f"the call was ended because it took longer than {seconds:g} s, its time limit",
        "give it more: @offload.task(timeout=SECONDS)",
    )


def too_much(used: int, limit: int, whose: str, hint: str) -> MemoryLimitError:
    """Return the error of a call that used too much memory."""
    from dask.utils import format_bytes

    return MemoryLimitError(
        f"the call was ended because it used {format_bytes(used)} of {format_bytes(limit)}, {whose} memory limit", hint
    )
