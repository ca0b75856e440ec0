"""What stands in the place of a function that a user has decorated."""

from __future__ import annotations

from typing import Any


class Decorated:
    """The base of tasks, as pickling knows them.

    Attributes
    ----------
    function : callable
        What was decorated.
    """

    function: Any

    @property
    def made_of(self) -> tuple[Any, ...]:
        """What to make another one like this of."""
        raise NotImplementedError
