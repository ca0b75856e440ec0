"""Plug-ins: what the installed entry points lead to that code asks for by their group."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

ASKING = {"entry_points", "iter_entry_points"}
"""Functions that give the entry points of a group."""


def entry_points_of(groups: Collection[str]) -> list[tuple[str, str, str]]:
    """Return group, name and what it leads to, of all entry points of some groups that are installed, in order.

    Examples
    --------
    >>> entry_points_of(["no.such.group"])
    []
    """
    from importlib.metadata import distributions

    found = {
        (point.group, point.name, f"{point.module}:{point.attr}" if point.attr else point.module)
        for distribution in distributions()
        for point in distribution.entry_points
        if point.group in groups
    }
    return sorted(found)
