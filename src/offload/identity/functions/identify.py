"""The identity of functions and classes: the graph of what they reach, remembered while nothing in it changes."""

from __future__ import annotations

import threading
from types import FunctionType
from weakref import WeakKeyDictionary, ref

from offload.errors import EncodeError
from offload.identity.functions.graph import Graph

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_lock = threading.RLock()
_known: WeakKeyDictionary[Any, Graph] = WeakKeyDictionary()
_of_tasks: WeakKeyDictionary[Any, ref[Graph]] = WeakKeyDictionary()


def closure(subject: Any) -> Graph:
    """Return the graph of all that a function, class or module reaches.

    Parameters
    ----------
    subject : function, class or module
        What would run.

    Returns
    -------
    Graph
        Its ``checksum`` is the identity; its ``nodes`` say what counts.

    Raises
    ------
    IdentityError
        If it reaches something that can be neither followed nor encoded.

    Examples
    --------
    >>> def double(x):
    ...     "Return twice as much."
    ...     return 2 * x
    >>> def again(x): return 2 * x
    >>> again.__code__ = again.__code__.replace(co_name="double")
    >>> closure(double).checksum == closure(again).checksum
    True
    """
    with _lock:
        of_task = _of_tasks.get(subject)
        graph = of_task() if of_task is not None else None
        if graph is not None and graph.is_current():
            return graph
        graph = _known.get(subject)
        if graph is None or not graph.is_current():
            graph = _known[subject] = Graph(subject)
        return graph


def is_same(found: object, digest: str | None) -> bool:
    """Tell whether a class or function is that of a checksum; of what is neither, it is not asked."""
    if not isinstance(found, type | FunctionType):
        return True
    try:
        return closure(found).checksum == digest
    except EncodeError:  # it has no identity here
        return False


def remember(subject: Any, graph: Graph) -> None:
    """Remember the graph that a task made of its function: as an argument the function has the same one."""
    with _lock:
        _of_tasks[subject] = ref(graph)  # which holds the function: both live as long as the task
