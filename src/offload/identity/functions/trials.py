"""Whether something can be followed, found out beside a graph: what is in that already is not followed again."""

from __future__ import annotations

from offload.identity.functions.graph import Graph
from offload.identity.functions.state_checks import no_collection


class Trials:
    """Follows things that may or may not belong to a graph, each part of them once.

    Parameters
    ----------
    graph : Graph
        The graph, which stays as it is.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._followed: dict[int, object] = {}  # by ids, which so stay their own

    def follow(self, value: object) -> None:
        """Follow a function or class.

        Raises
        ------
        EncodeError, IdentityError
            If it reaches something that can be neither followed nor encoded.
        """
        trial = _Trial(self._graph, self._followed)
        trial.follow(value)
        self._followed.update((id(node.subject), node.subject) for node in trial.nodes)


class _Trial(Graph):
    """A graph of what is not in another one. Names in strings are followed from there: each has a trial of its own."""

    follows_texts = False

    def __init__(self, graph: Graph, followed: dict[int, object]) -> None:
        self._within = graph
        self._followed = followed

    def follow(self, value: object) -> None:
        """Follow a value."""
        with no_collection():
            self._begin(value)
            self.ignored = self._within.ignored
            self.describe(value)
            self._drain()

    def number(self, kind: str, subject: object, label: str) -> list[object]:
        """Return the reference to a node; a new one is added only where the subject is not known elsewhere."""
        if id(subject) in self._within._numbers or id(subject) in self._followed:
            return ["known"]
        return super().number(kind, subject, label)
