"""The order in which inputs were modified, for the programs that go by it.

All copies have one time, so that results do not depend on when a file was written. A ``make`` would take what is stale
for up to date then. For such programs the copies have times in the order of their originals, and that order counts.
"""

from __future__ import annotations

import os

from offload.commands.planning.detect import shell_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from offload.commands.planning.inputs import PlannedInput

GO_BY_TIMES = frozenset("cmake gmake make meson mk ninja redo redo-ifchange samu scons snakemake tup waf".split())


def goes_by_times(argv: Sequence[str]) -> bool:
    """Return whether a command names a program that compares the times of files."""
    names = {word.rpartition("/")[2] for word in argv} | set(shell_names(argv))
    return not GO_BY_TIMES.isdisjoint(names)


def modification_order(inputs: Iterable[PlannedInput]) -> dict[str, int]:
    """Return the places of files in the order in which they were modified, from 0, by their paths."""
    times = modification_times(inputs)
    ranks = {moment: rank for rank, moment in enumerate(sorted(set(times.values())))}
    return {path: ranks[moment] for path, moment in times.items()}


def modification_times(inputs: Iterable[PlannedInput]) -> dict[str, int]:
    """Return when files were modified, in nanoseconds, by their paths; those that are gone are left out."""
    paths = [path for item in inputs for path in (item.tree.paths() if item.tree is not None else [item.source])]
    return {path: os.stat(path).st_mtime_ns for path in paths if os.path.exists(path)}


def order_checksum(inputs: Iterable[PlannedInput], order: dict[str, int]) -> str:
    """Return what counts of an order: the names that the command sees, and their places."""
    from offload.identity.checksums import checksum
    from offload.identity.values.encode import encode

    rows = []
    for item in inputs:
        if item.tree is None:
            rows.append([item.path, order[item.source]])
        else:
            names = (entry.name for entry in item.tree.entries if entry.kind == "file")
            rows += [[f"{item.path}/{name}", order[f"{item.tree.root}/{name}"]] for name in names]
    return checksum(encode(sorted(rows)))
