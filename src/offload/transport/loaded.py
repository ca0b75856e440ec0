"""A function that was sent to this process, and found to be what was identified."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from offload.identity.functions.graph import Graph


class Loaded:
    """A function that can be called here.

    Attributes
    ----------
    function : callable
        The function.
    graph : Graph
        Of it, as it was identified.
    declared : sequence
        The files that it may read.
    by_name : bool
        Whether its modules were imported; so then are those of its arguments.
    lacking : str
        Why they were not, where they have files.
    stale : bool
        Whether what it reaches has changed since.
    """

    __slots__ = ("by_name", "declared", "function", "graph", "lacking", "stale")

    def __init__(
        self, function: Callable[..., Any], graph: Graph, declared: Sequence[Any], by_name: bool, stale: bool = False
    ) -> None:
        self.stale = stale
        self.function = function
        self.graph = graph
        self.declared = declared
        self.by_name = by_name
        self.lacking = ""
