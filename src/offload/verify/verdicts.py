"""What came of running recorded work again, and how two results differ, in words."""

from __future__ import annotations

import reprlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.storage.records import Transformation

SAME, DIFFERENT, NOT_RUN = "same", "different", "not run"

SHOWN = 120
"""Characters of a line that is shown."""

COMPARED = 16 * 1024 * 1024
"""Bytes of results that are compared; of larger ones, only the checksums are."""


class Verdict:
    """What came of one transformation.

    Attributes
    ----------
    transformation : Transformation
        What was run again.
    outcome : str
        `SAME`, `DIFFERENT` or `NOT_RUN`.
    reasons : list of str
        Each difference, or why it was not run.
    seconds : float
        How long it took.
    """

    __slots__ = ("outcome", "reasons", "seconds", "transformation")

    def __init__(self, transformation: Transformation, outcome: str, reasons: list[str], seconds: float = 0.0) -> None:
        self.transformation = transformation
        self.outcome = outcome
        self.reasons = reasons
        self.seconds = seconds

    def as_dict(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return {
            "transformation": self.transformation.checksum,
            "kind": self.transformation.kind,
            "label": self.transformation.label,
            "outcome": self.outcome,
            "reasons": self.reasons,
            "seconds": self.seconds,
        }


class CannotRunError(Exception):
    """Recorded work cannot be run again; the message says why."""


def different_bytes(before: bytes, now: bytes) -> str:
    r"""Return where two texts, or other bytes, first differ.

    Examples
    --------
    >>> different_bytes(b"a\nb\n", b"a\nc\n")
    "line 2: 'b' -> 'c'"
    >>> different_bytes(b"a\n", b"a\nc\n")
    "line 2: nothing -> 'c'"
    >>> different_bytes(b"\xff\0", b"\xff\1")
    'byte 1: 00 -> 01'
    """
    try:
        old, new = before.decode().splitlines(keepends=True), now.decode().splitlines(keepends=True)
    except UnicodeDecodeError:
        place = next((i for i, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), None)
        if place is None:
            return f"{len(before):,} bytes -> {len(now):,} bytes, the same at the beginning"
        return f"byte {place:,}: {before[place]:02x} -> {now[place]:02x}"
    number = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    first, second = (lines[number] if number < len(lines) else None for lines in (old, new))
    if first is not None and second is not None and first.rstrip("\r\n") != second.rstrip("\r\n"):
        first, second = first.rstrip("\r\n"), second.rstrip("\r\n")
    elif first is None and second is not None:
        second = second.rstrip("\r\n")
    elif second is None and first is not None:
        first = first.rstrip("\r\n")
    return f"line {number + 1:,}: {_line(first)} -> {_line(second)}"


def _line(text: str | None) -> str:
    if text is None:
        return "nothing"
    return repr(text) if len(text) <= SHOWN else repr(text[:SHOWN]) + "..."


def different_values(before: object, now: object, where: str = "") -> str:
    """Return where two values first differ, as far as plain containers go, and what is there.

    Examples
    --------
    >>> different_values({"a": [1, 2]}, {"a": [1, 3]})
    "['a'][1]: 2 -> 3"
    >>> different_values(1, 1.0)
    '1 -> 1.0'
    """
    if type(before) is type(now):
        if isinstance(before, dict) and isinstance(now, dict) and list(before) == list(now):
            for key in before:
                if not _alike(before[key], now[key]):
                    return different_values(before[key], now[key], f"{where}[{key!r}]")
        elif isinstance(before, (list, tuple)) and isinstance(now, (list, tuple)) and len(before) == len(now):
            for index, (old, new) in enumerate(zip(before, now, strict=True)):
                if not _alike(old, new):
                    return different_values(old, new, f"{where}[{index}]")
        elif isinstance(before, str) and isinstance(now, str) and "\n" in before + now:
            return f"{where}{': ' if where else ''}{different_bytes(before.encode(), now.encode())}"
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = SHOWN
    old_text, new_text = short.repr(before), short.repr(now)
    if old_text == new_text:
        old_text, new_text = f"{old_text} ({type(before).__qualname__})", f"another {type(now).__qualname__}"
    return f"{where}{': ' if where else ''}{old_text} -> {new_text}"


def _alike(one: object, other: object) -> bool:
    """Tell whether two values have the same encoding."""
    from offload.errors import EncodeError
    from offload.identity.values.encode import identify

    try:
        return identify(one) == identify(other)
    except EncodeError:
        return False
