"""Whether a call alone has changed what its function reaches: then it is known from what it has computed its result."""

from __future__ import annotations

import sys
import threading

from offload.effects.attribution import idle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.identity.functions.graph import Graph
    from offload.transport.outcome import Outcome

_lock = threading.Lock()
_under_way: list[Run] = []


def is_under_way() -> bool:
    """Tell whether this thread makes a call now."""
    thread = threading.current_thread()
    return any(run._thread is thread for run in list(_under_way))


class Run:
    """A call that is being made in this process, from now on until its end.

    Parameters
    ----------
    graph : Graph
        Of its function.
    stands : bool
        Whether that is current.
    """

    __slots__ = ("_graph", "_is_alone", "_is_part", "_thread", "_threads")

    def __init__(self, graph: Graph, stands: bool = True) -> None:
        self._graph = graph
        self._is_alone = stands
        self._is_part = False
        self._thread = threading.current_thread()
        self._threads = set(threading.enumerate())
        with _lock:
            for other in _under_way:
                if other._thread is self._thread:
                    self._is_part = True
                else:
                    self._is_alone = other._is_alone = False
            _under_way.append(self)

    def end(self) -> None:
        """Note that the function has returned."""
        with _lock:
            _under_way.remove(self)

    def look(self, outcome: Outcome, of_parts: bool = True) -> tuple[str, str] | None:
        """Note what it has changed: so that it can be done again, or else that the result is not to be recorded.

        Parameters
        ----------
        outcome : Outcome
            Where to note it.
        of_parts : bool
            Whether it can be done again where the call is a part of another one, which may see it.

        Returns
        -------
        tuple or None
            The checksums that :func:`offload.identity.values.mutations.changes` gives.
        """
        outcome.changed = self._graph.changed()
        may = self._is_alone and (of_parts or not self._is_part)
        if outcome.changed is None or not may or not self._others_were_idle():
            return None
        from offload.identity.functions.graph import Graph
        from offload.identity.values.mutations import changes

        found = changes(self._graph, lambda: Graph(self._graph.root).checksum)
        if found is None:
            return None
        outcome.changes, outcome.changed = found[:2], None
        return found[1:]

    def _others_were_idle(self) -> bool:
        """Tell whether no other thread has run code of the project meanwhile; one that has ended may have done so."""
        frames = sys._current_frames()
        threads = threading.enumerate()
        others = [(thread, frames.get(thread.ident or 0)) for thread in threads if thread is not self._thread]
        known = {thread.ident for thread in threads}
        return (
            self._threads.issubset(threads)
            and known.issuperset(frames)  # a thread that Python's own module has not begun
            and all(frame is not None and idle(thread, frame) for thread, frame in others)
        )
