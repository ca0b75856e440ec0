"""A function of this process, on its way to workers."""

from __future__ import annotations

from offload.notices import users_place
from offload.registry.shared_files import working_directory
from offload.tasks.call import explain
from offload.transport.files import seen
from offload.transport.function import ShippedFunction, Ways

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from offload.identity.files import File
    from offload.identity.functions.graph import Graph
    from offload.registry.session import Session
    from offload.transport.outcome import Outcome


class OwnFunction(ShippedFunction):
    """A function of this process, for calls whose arguments reach modules beyond its own, or none."""

    def __init__(
        self,
        graph: Graph,
        payload: Ways,
        modules: Iterable[str] = (),
        watched: bool = True,
        reached: Sequence[tuple[File, str]] = (),
    ) -> None:
        from offload.identity.environment import environment
        from offload.transport.load import main_name

        super().__init__(graph.checksum, payload, main_name(), environment(graph.modules.union(modules)), watched)
        self._graph = graph
        self.place = users_place()
        self.program = working_directory()
        self.reached = reached
        self.seen = seen(reached)

    def explain(self, session: Session) -> str:
        """Store what it reaches, with its source; see :func:`offload.tasks.call.explain`."""
        return explain(session, self._graph)

    def tell(self, label: str, outcomes: list[Outcome]) -> None:
        """Warn of what its calls did besides computing, once for each thing."""
        from offload.effects.warnings import tell_once

        for outcome in outcomes:
            if outcome.effects is not None and outcome.error is None:
                tell_once(label, outcome.effects, self.place)
