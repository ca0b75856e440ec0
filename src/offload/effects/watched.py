"""What is known of a call while it runs: what it may read, what it has made, and what was seen of it."""

from __future__ import annotations

from offload.effects.record import Effects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Watched:
    """A call that is being watched, as those see it who judge what it does.

    Parameters
    ----------
    declared : iterable of path-like
        Files and directories that it may read.
    ignores : bool
        Whether nothing that it does counts, for itself and for those around it.
    """

    __slots__ = (
        "above",
        "by_name",
        "caches",
        "code",
        "declared",
        "ended",
        "figures",
        "folders",
        "ignores",
        "made",
        "made_folders",
        "opened",
        "seen",
    )

    def __init__(self, declared: Iterable[Any] = (), ignores: bool = False) -> None:
        self.seen: Effects | None = None
        self.above: Watched | None = None
        self.ignores = ignores
        self.ended = False
        self.declared: set[str] | tuple[()] = ()
        self.folders: tuple[str, ...] = ()
        self.code: set[tuple[str, str]] = set()  # module and name of what it has unpickled
        self.by_name: set[str] | None = None  # modules that its code names, where it computes names of others
        self.figures: list[Any] = []  # of pyplot, open when it began
        self.caches: list[tuple[Any, Any]] = []  # of `lru_cache`, with how they were before
        self.made: set[str] = set()  # files that it has made itself
        self.made_folders: tuple[str, ...] = ()
        self.opened: dict[str, int] | None = None  # what this process has opened meanwhile, as the kernel tells it
        if declared:
            self._declare(declared)

    def _declare(self, declared: Iterable[Any]) -> None:
        import os

        paths = {os.path.abspath(os.fspath(path)) for path in declared}
        paths |= {os.path.realpath(path) for path in paths}
        self.declared = paths
        self.folders = tuple(os.path.join(path, "") for path in paths if os.path.isdir(path))

    @property
    def effects(self) -> Effects:
        """Where to note what is seen."""
        if self.seen is None:
            self.seen = Effects()
        return self.seen
