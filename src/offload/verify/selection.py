"""Which of the recorded work is run again."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def sample(transformations: Sequence[str], count: int | None) -> list[str]:
    """Return so many of them, chosen at random, in their order; all where there are no more."""
    if count is None or count >= len(transformations):
        return list(transformations)
    import random

    chosen = set(random.sample(range(len(transformations)), count))
    return [checksum for index, checksum in enumerate(transformations) if index in chosen]
