"""A function on its way to workers: its pickled code, and what its runs are recorded under."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from offload.compute.outcome import Outcome
    from offload.compute.resources import Resources
    from offload.compute.session import Session
    from offload.compute.staged import Sent
    from offload.identity.environment import Environment
    from offload.identity.files import File
    from offload.identity.graph import Graph


class ShippedFunction:
    """What a batch needs of a function.

    Attributes
    ----------
    checksum : str
        Of its graph.
    payload : bytes
        Pickled, with its parts.
    main : str
        What ``__main__`` goes by where it comes from.
    environment : Environment
        Where its calls may run.
    watched : bool
        Whether what its calls do besides computing counts.
    files : sequence of Sent
        Files that it reaches, where they are sent along; see :mod:`offload.compute.staged`.
    resources : Resources
        What each of its calls needs of its worker.
    """

    files: Sequence[Sent] = ()
    resources: Resources = ()

    def __init__(
        self, checksum: str, payload: bytes, main: str, environment: Environment, watched: bool = True
    ) -> None:
        self.checksum = checksum
        self.payload = payload
        self.main = main
        self.environment = environment
        self.watched = watched

    def explain(self, session: Session) -> str:
        """Store what ``why`` shows of it; return the checksum of that. Here nothing: who sent it has done so."""
        return ""

    def tell(self, label: str, outcomes: list[Outcome]) -> None:
        """Warn of what its calls did besides computing. Here nothing: who sent it does so."""


class OwnFunction(ShippedFunction):
    """A function of this process, for calls whose arguments reach modules beyond its own, or none."""

    def __init__(
        self,
        graph: Graph,
        payload: bytes,
        modules: Iterable[str] = (),
        watched: bool = True,
        reached: Sequence[tuple[File, str]] = (),
    ) -> None:
        from offload.compute.worker import main_name
        from offload.identity.environment import environment

        super().__init__(graph.checksum, payload, main_name(), environment(graph.modules.union(modules)), watched)
        self._graph = graph
        self.reached = reached

    def explain(self, session: Session) -> str:
        """Store what it reaches, with its source; see :func:`offload.compute.calls.explain`."""
        from offload.compute.calls import explain

        return explain(session, self._graph)

    def tell(self, label: str, outcomes: list[Outcome]) -> None:
        """Warn of what its calls did besides computing, once for each thing."""
        from offload.compute.effects.telling import tell_once

        for outcome in outcomes:
            if outcome.effects is not None and outcome.error is None:
                tell_once(label, outcome.effects)
