"""Numbers as users write them: ranges of ports, limits of workers, lengths of time."""

from __future__ import annotations

import re

from offload.errors import UsageError


def parse_ports(text: str) -> tuple[int, int]:
    """Return the first and last port of ``A-B``, or of a single port.

    Examples
    --------
    >>> parse_ports("60001-61000"), parse_ports("8786")
    ((60001, 61000), (8786, 8786))
    """
    first, _, last = text.partition("-")
    if not first.isdigit() or (last and not last.isdigit()):
        raise UsageError(f"{text!r} is no range of ports", "write it as 60001-61000")
    low, high = int(first), int(last or first)
    if not 0 < low <= high < 65536:
        raise UsageError(f"{text!r} is no range of ports", "ports go from 1 to 65535, the smaller one first")
    return low, high


def parse_limits(text: str) -> tuple[int, int | None]:
    """Return the number of workers, or the least and the most of a range.

    Examples
    --------
    >>> parse_limits("4"), parse_limits("0-16")
    ((4, None), (0, 16))
    """
    first, dash, last = text.partition("-")
    if not first.isdigit() or bool(dash) != last.isdigit() or (dash and int(first) > int(last)):
        raise UsageError(f"{text!r} is no number of workers", "write 4, or 0-16 for as many as the work asks for")
    return int(first), int(last) if dash else None


LEAST_MEMORY = 10_000_000
"""Bytes with which no worker could start: who asks for less has left the unit out, or means another one."""

_AMOUNT = re.compile(r"([0-9.]+)\s*([kmgtp]?)i?b?", re.IGNORECASE)


def check_memory(text: str) -> None:
    """Refuse a limit of memory, as Dask takes it, that is less than any worker needs.

    Up to 1 it is a part of what there is, 0 is none, and ``auto`` leaves it to Dask.

    Examples
    --------
    >>> check_memory("auto"), check_memory("0.5"), check_memory("4GB")
    (None, None, None)
    """
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        return
    number, unit = float(found[1]), found[2].lower()
    if (unit or number > 1) and number and number * 1000 ** (" kmgtp".index(unit or " ")) < LEAST_MEMORY:
        raise too_little(text)


def too_little(text: str) -> UsageError:
    """Return what is said of too little memory."""
    return UsageError(f"{text!r} is too little memory for a worker", "give a unit, too: 4GB or 500MiB")


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """Return the seconds that a time stands for.

    Examples
    --------
    >>> parse_duration("30s"), parse_duration("1.5h"), parse_duration("90")
    (30.0, 5400.0, 90.0)
    """
    number, unit = (text[:-1], _UNITS[text[-1]]) if text[-1:] in _UNITS else (text, 1)
    if not number.replace(".", "", 1).isdecimal() or not number.isascii():
        raise UsageError(f"{text!r} is no length of time", "write it as 30s, 10m or 2h")
    return float(number) * unit


def duration_text(seconds: float) -> str:
    """Return a length of time in the largest unit that it is a number of.

    Examples
    --------
    >>> duration_text(30), duration_text(600), duration_text(5400)
    ('30 s', '10 min', '90 min')
    """
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds / size:g} {name}"
    return f"{seconds:g} s"
