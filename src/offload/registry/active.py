"""What ``offload.connect`` has chosen, for all threads of this process: the innermost choice counts."""

from __future__ import annotations

import os
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EMBEDDED = "none"
"""Stands where the name of a deployment could: work goes to none of them."""


class Choice:
    """Where work goes while this choice holds.

    Attributes
    ----------
    name : str
        A deployment, or `EMBEDDED`.
    here : bool
        Whether it is a Dask cluster within this process, which no other process knows.
    """

    here = False

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def deployment(self) -> str:
        """The name of the deployment that work goes to, or `EMBEDDED`."""
        return EMBEDDED if self.here else self.name

    def engine(self) -> Any:
        """Return a new engine (`offload.engines.base.Engine`) on the cluster of this process, where there is one."""
        raise NotImplementedError

    def client(self, **options: Any) -> Any:
        """Return a Dask client on it."""
        raise NotImplementedError


_lock = threading.Lock()
_choices: list[Choice] = []


def choose(choice: Choice) -> None:
    """Let a choice hold from now on, above those that hold already."""
    with _lock:
        _choices.append(choice)


def drop(choice: Choice) -> None:
    """End a choice, wherever it stands; the one below it counts then, if it was the innermost."""
    with _lock:
        if choice in _choices:
            _choices.remove(choice)


def innermost() -> Choice | None:
    """Return the choice that counts, or None: then the environment and ``offload use`` decide."""
    choices = _choices[-1:]  # in one step: another thread may end one
    return choices[0] if choices else None


def here(name: str | None) -> Choice | None:
    """Return the open choice of a cluster within this process that has a name; with None, the one that counts."""
    if name is None:
        choice = innermost()
        return choice if choice is not None and choice.here else None
    return next((choice for choice in reversed(_choices) if choice.here and choice.name == name), None)


def _leave() -> None:
    """In a child of this process: a cluster's threads are the parent's."""
    global _lock
    _lock = threading.Lock()
    _choices[:] = [choice for choice in _choices if not choice.here]


os.register_at_fork(after_in_child=_leave)
