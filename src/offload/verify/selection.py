"""Which of the recorded work is run again."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.registry.session import Session
    from offload.storage.records import Run


def recorded(session: Session, runs: Sequence[Run]) -> list[str]:
    """Return the transformations of runs that have a result now, each once, in the order of the runs."""
    found = list(dict.fromkeys(run.transformation for run in runs))
    results = session.database.results(found)
    return [checksum for checksum, result in zip(found, results, strict=True) if result is not None]


def sample(transformations: Sequence[str], count: int | None) -> list[str]:
    """Return so many of them, chosen at random, in their order; all where there are no more."""
    if count is None or count >= len(transformations):
        return list(transformations)
    import random

    chosen = set(random.sample(range(len(transformations)), count))
    return [checksum for index, checksum in enumerate(transformations) if index in chosen]
