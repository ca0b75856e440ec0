"""How sizes, moments and checksums are written, and how a user may type them."""

from __future__ import annotations

import re
import time

from offload.errors import UsageError
from offload.util.durations import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FEWEST_DIGITS = 6
"""So many digits of a checksum have to be given, so that a slip of the hand names nothing."""

_SIZE = re.compile(r"([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([kmgtp]?i?)b?", re.IGNORECASE)
_PREFIXES = "kmgtp"
_AGE = re.compile(r"([0-9]*\.?[0-9]+)\s*([smhdw])")
_AGE_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def size_text(count: int) -> str:
    """Return a number of bytes for people, in decimal units.

    Examples
    --------
    >>> size_text(999), size_text(1500), size_text(20_000_000_000), size_text(999_999)
    ('999 bytes', '1.5 kB', '20.0 GB', '1.0 MB')
    """
    if count < 1000:
        return f"{count} byte{'' if count == 1 else 's'}"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if value < 999.95 or unit == "PB":
            break
    return f"{value:,.1f} {unit}"


def used_texts(used: Mapping[str, Any]) -> tuple[str, str]:
    """Return the processor time and the peak memory of a run for people; a dash for what is not known.

    Examples
    --------
    >>> used_texts({"cpu_seconds": 1.25, "peak_memory_bytes": 9_500_000}), used_texts({})
    (('1.2 s', '9.5 MB'), ('-', '-'))
    """
    seconds, size = used.get("cpu_seconds"), used.get("peak_memory_bytes")
    return "-" if seconds is None else duration(seconds), "-" if size is None else size_text(size)


def parse_size(text: str) -> int:
    """Return the bytes that a size such as ``10GB`` or ``1.5 GiB`` stands for; units are those of Dask.

    Raises
    ------
    UsageError
        If it is no size.

    Examples
    --------
    >>> parse_size("10GB"), parse_size("1.5 KiB"), parse_size("0")
    (10000000000, 1536, 0)
    """
    match = _SIZE.fullmatch(text.strip())
    unit = match[2].lower() if match else ""
    if match is None or unit == "i":
        raise UsageError(f"{text!r} is not a size", "sizes look like 500MB, 10GB, 1.5GiB, or 1000000 (bytes)")
    step = 1024 if unit.endswith("i") else 1000
    return int(float(match[1]) * (step ** (_PREFIXES.index(unit[0]) + 1) if unit else 1))


def moment_text(moment: float) -> str:
    """Return a Unix time as local date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def parse_since(text: str, now: float) -> float:
    """Return the Unix time that an age (``90s``, ``30m``, ``2h``, ``7d``, ``1w``) or a local date stands for.

    Raises
    ------
    UsageError
        If it is neither.

    Examples
    --------
    >>> parse_since("2h", now=10_000.0)
    2800.0
    >>> parse_since("1970-01-01T00:01:00+00:00", now=0.0)
    60.0
    """
    match = _AGE.fullmatch(text.strip())
    if match:
        return now - float(match[1]) * _AGE_UNITS[match[2]]
    from datetime import datetime

    try:
        # A moment without a time zone is one of this machine's clock.
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is not a time", "give an age like 90s, 30m, 2h, 7d, 1w, or a date") from None


def checksum_digits(text: str) -> str:
    """Return a checksum, or the first digits of one, as the user typed it, in lower case.

    Raises
    ------
    UsageError
        If it is neither, or too short.

    Examples
    --------
    >>> checksum_digits("DEC0DE")
    'dec0de'
    """
    digits = text.lower()
    if len(digits) > 64 or not set(digits) <= set("0123456789abcdef"):
        raise UsageError(f"{text!r} is not a checksum", "a checksum is 64 digits 0-9a-f, or the first few of them")
    if len(digits) < FEWEST_DIGITS:
        raise UsageError(f"{text!r} is too short for a checksum", f"give at least {FEWEST_DIGITS} digits")
    return digits
