"""A function on its way to workers: its pickled code, and what its runs are recorded under."""

from __future__ import annotations

from offload.transport.large_arguments import beside
from offload.transport.limits import UNLIMITED, Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from offload.identity.environment import Environment
    from offload.registry.session import Session
    from offload.registry.shared_files import WorkingDirectory
    from offload.transport.files import Sent
    from offload.transport.outcome import Outcome
    from offload.transport.python import Python
    from offload.transport.sources import Sources
    from offload.util.resources import Resources


class Ways:
    """Something in the two forms in which it travels.

    Attributes
    ----------
    by_name : bytes or None
        Pickled; what lies in modules with files goes by its name there. None where that cannot be done.
    sources : Sources
        The files that a worker needs to see for that.
    by_value : bytes or None
        Pickled, with the code of the project. None where that cannot be done.
    refused : str
        Why not.
    named : dict
        The checksums of what goes by name, where nothing else tells whether it is the same elsewhere.
    """

    __slots__ = ("by_name", "by_value", "named", "refused", "sources")

    def __init__(
        self,
        by_name: bytes | None,
        sources: Sources,
        by_value: bytes | None,
        refused: str = "",
        named: dict[tuple[str, str], str] | None = None,
    ) -> None:
        self.by_name = by_name
        self.sources = sources
        self.by_value = by_value
        self.refused = refused
        self.named = named or {}

    def __reduce__(self) -> Any:
        return Ways, (beside(self.by_name), self.sources, beside(self.by_value), self.refused, self.named)

    def __len__(self) -> int:
        return len(self.by_name or b"") + len(self.by_value or b"")


class ShippedFunction:
    """What a batch needs of a function.

    Attributes
    ----------
    checksum : str
        Of its graph.
    payload : Ways
        Pickled, with its parts.
    main : str
        What ``__main__`` goes by where it comes from.
    environment : Environment
        Where its calls may run.
    watched : bool
        Whether what its calls do besides computing counts.
    files : sequence of Sent
        Files that it reaches, where they are sent along; see :mod:`offload.transport.files`.
    seen : sequence of Sent
        Files that it reaches, where they are read where they lie.
    snapshot : str
        The checksum of the snapshot of the project's files that the workers' store has; see
        :mod:`offload.snapshots`.
    resources : Resources
        What each of its calls needs of its worker.
    limits : Limits
        What each of its calls may use.
    python : Python or None
        The one it was identified by, for workers whose own lacks something.
    program : WorkingDirectory or None
        The directory of the program that has submitted calls of it.
    place : tuple or None
        Which line of the user's has submitted calls of it, as :func:`offload.notices.users_place` says it; stays here.
    """

    files: Sequence[Sent] = ()
    seen: Sequence[Sent] = ()
    snapshot: str = ""
    resources: Resources = ()
    limits: Limits = UNLIMITED
    python: Python | None = None
    program: WorkingDirectory | None = None
    place: tuple[str, int, str] | None = None

    def __init__(self, checksum: str, payload: Ways, main: str, environment: Environment, watched: bool = True) -> None:
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
