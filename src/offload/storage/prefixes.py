"""Checksums that are named by their first digits."""

from __future__ import annotations

from offload.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def prefix_range(digits: str) -> tuple[str, str]:
    """Give the bounds, low included and high not, of the checksums that start with some hexadecimal digits.

    Raises
    ------
    UsageError
        They are no hexadecimal digits, or too many.
    """
    if not 0 < len(digits) <= 64 or not set(digits) <= set("0123456789abcdef"):
        raise UsageError(f"{digits!r} is no checksum", "a checksum is 64 digits 0-9a-f, or the first few of them")
    return digits, digits + "g"


def only(found: Sequence[str], digits: str) -> str | None:
    """Give what was found for some digits, None for nothing.

    Raises
    ------
    UsageError
        More than one was found.
    """
    if len(found) > 1:
        raise UsageError(f"several checksums start with {digits}", "give more digits")
    return found[0] if found else None
