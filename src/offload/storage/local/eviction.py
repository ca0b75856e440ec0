"""Which buffers go when a store has too many bytes: what never fits, then what is old and cheap to compute again."""

from __future__ import annotations

from math import log2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    Costs = Callable[[], Mapping[str, float]]
    """Gives the seconds that buffers took to compute, by checksum; of others nothing is known."""

_ROW = 4096
"""Bytes that each buffer counts for besides its own: removing a tiny one gives next to nothing back."""

SHOWN = 20
"""Of what would be removed, so many are named."""


def chosen(
    rows: Sequence[tuple[str, int, float]],
    leased: Collection[str],
    max_size: int,
    now: float,
    costs: Costs | None,
) -> tuple[list[tuple[str, float]], int]:
    """Choose the buffers to remove.

    What alone has more than `max_size` bytes goes first, since it could never stay. Of the rest, that goes first which
    was unused for longest in proportion to its worth, which grows with the seconds of computing that each byte took:
    one that took a second per megabyte may be unused for twice as long as one that took none, one of 1000 s per
    megabyte for eleven times as long.

    Parameters
    ----------
    rows : sequence of (str, int, float)
        Checksum, size and last use of each buffer.
    leased : collection of str
        These stay.
    max_size : int
        Bytes that may stay.
    now : float
        Unix time.
    costs : callable, optional
        Asked only if it matters.

    Returns
    -------
    list of (str, float)
        Checksums, with the last use.
    int
        How many stay only because they are leased.
    """
    total = sum(size for _, size, _ in rows)
    if total <= max_size:
        return [], 0
    known = costs() if costs is not None and max_size else {}

    def rank(row: tuple[str, int, float]) -> tuple[bool, float, str]:
        checksum, size, used = row
        worth = 1 + log2(1 + known.get(checksum, 0.0) * 1e6 / (size + _ROW))
        return size <= max_size, -max(now - used, 0.0) / worth, checksum

    found, spared = [], 0
    for checksum, size, used in sorted(rows, key=rank):
        if total <= max_size:
            break
        if checksum in leased:
            spared += 1
            continue
        found.append((checksum, used))
        total -= size
    return found, spared


def largest(checksums: Sequence[str], sizes: Mapping[str, int]) -> list[list[str | int]]:
    """Give checksum and size of the largest of some buffers, to be shown."""
    from heapq import nlargest

    return [[checksum, sizes[checksum]] for checksum in nlargest(SHOWN, checksums, key=lambda c: (sizes[c], c))]
