"""Resources that workers have and calls need, as Dask counts them: ``{"GPU": 1}`` is one GPU, whatever a GPU may be.

They choose where a call runs and how many run at once. They are no part of its identity: the same call on another
worker is the same call.
"""

from __future__ import annotations

import re

from offload.errors import OffloadError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

Resources = tuple[tuple[str, float], ...]
"""Names and amounts, ordered by name."""

PLAIN = "plain"
"""A resource of all workers of a deployment with groups that take calls that ask for nothing; they need 0 of it."""

COMMANDS = "offload.commands"
"""A resource of workers that see the deployment's files, as commands need; they need 0 of it."""

HIDDEN = frozenset((PLAIN, COMMANDS))
"""Resources that are no user's."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


UNMET = 'bring up workers that have it: offload up --resources "GPU=1", or groups of workers in offload.toml'


class UnmetError(OffloadError):
    """No worker of a deployment has what is needed, and none is to come."""


def parse_resources(given: str | Mapping[str, float] | None) -> Resources:
    """Return resources in the one form in which they are kept.

    Parameters
    ----------
    given : str or mapping or None
        As Dask takes them: ``"GPU=1 MEMORY=2e9"``, or amounts by name.

    Raises
    ------
    UsageError
        If they are none.

    Examples
    --------
    >>> parse_resources("GPU=1"), parse_resources({"big": 1, "GPU": 2}), parse_resources(None)
    ((('GPU', 1.0),), (('GPU', 2.0), ('big', 1.0)), ())
    """
    if not given:
        return ()
    wrong = UsageError(f"{given!r} are no resources", 'write them as "GPU=1", or {"GPU": 1}')
    pairs: Iterable[Any]
    if isinstance(given, str):
        pairs = [word.partition("=")[::2] for word in given.replace(",", " ").split()]
    else:
        try:
            pairs = given.items()
        except AttributeError:
            raise wrong from None
    found = {}
    for name, amount in pairs:
        try:
            number = float(amount)
        except (TypeError, ValueError):
            raise wrong from None
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in HIDDEN or not 0 < number < float("inf"):
            raise wrong
        found[name] = number
    return tuple(sorted(found.items()))


def resources_text(resources: Resources) -> str:
    """Return resources as they are written.

    Examples
    --------
    >>> resources_text((("GPU", 1.0), ("big", 0.5)))
    'GPU=1 big=0.5'
    """
    return " ".join(f"{name}={amount:g}" for name, amount in resources)


class Supply:
    """What the workers of a deployment have: those that are connected, and those that may come.

    Parameters
    ----------
    groups : callable
        Gives what each worker of each group has.
    reserved : bool
        Whether calls that ask for nothing keep off the workers that have something.
    """

    def __init__(self, groups: Callable[[], Iterable[Resources]] = tuple, reserved: bool = False) -> None:
        self._groups = groups
        self._reserved = reserved

    def asked(self, resources: Resources) -> dict[str, float] | None:
        """Return what to ask Dask for."""
        if not resources and self._reserved:
            return {PLAIN: 0.0}
        return dict(resources) or None

    def slots(self, resources: Resources, workers: Iterable[Mapping[str, Any]]) -> int:
        """Return how many calls that need something can run at the same time.

        Parameters
        ----------
        resources : Resources
            What each of them needs.
        workers : iterable of mapping
            Those that are connected, each with its ``nthreads`` and ``resources``.

        Examples
        --------
        >>> workers = [{"nthreads": 8, "resources": {"GPU": 2}}, {"nthreads": 8, "resources": {}}]
        >>> Supply().slots((("GPU", 1.0),), workers), Supply().slots((), workers)
        (2, 16)
        """
        asked = self.asked(resources) or {}
        return sum(times(asked, worker["resources"], worker["nthreads"]) for worker in workers)

    def lacking(self, resources: Resources, workers: Iterable[Mapping[str, Any]]) -> UnmetError | None:
        """Return what is to be said where no worker has what a call needs, and none is to come."""
        groups = [dict(group) for group in self._groups()]
        known = [*groups, *(worker["resources"] for worker in workers)]
        if not resources or any(times(dict(resources), one, 1) for one in known):
            return None
        shown = [sorted((name, amount) for name, amount in one.items() if name not in HIDDEN) for one in known]
        there = {resources_text(tuple(one)) for one in shown} - {""}
        others = f"there are workers with {', or '.join(sorted(there))}" if there else "none has any resources"
        return UnmetError(f"no worker has {resources_text(resources)}: {others}", UNMET)


def times(asked: Mapping[str, float], has: Mapping[str, float], threads: int) -> int:
    """Return how often a worker can give what is asked for, at the same time.

    Examples
    --------
    >>> times({"GPU": 1}, {"GPU": 4}, 8), times({}, {}, 8), times({"GPU": 1}, {}, 8)
    (4, 8, 0)
    """
    for name, amount in asked.items():
        if name not in has or has[name] < amount:
            return 0
        if amount:
            threads = min(threads, int(has[name] // amount))
    return threads
