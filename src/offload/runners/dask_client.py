"""Plain Dask within a call: a client on the scheduler to which the worker of its runner belongs.

A call that has one may wait for other tasks. So its place at the worker is given to others then: calls that all wait
for a place would wait without end.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from offload.identity.functions.graph import Graph

Scheduler = tuple[str, bytes]
"""Its address, and Dask's security settings, pickled: most calls do without Dask, which takes long to import."""

_scheduler: Scheduler | None = None
_make_room: Callable[[], None] | None = None
_client: Any = None
_in_thread = threading.local()

_ASKED_FOR = "get_client"
_SAID = ("No worker found", "No global client found and no address provided")
NOTE = "calls of tasks run in a process beside Dask's worker; offload.client() in a call is a client of its scheduler"


def serve(scheduler: Scheduler, make_room: Callable[[], None]) -> None:
    """Note which scheduler the calls of this process belong to, and how to give a call's place to others."""
    global _scheduler, _make_room
    _scheduler, _make_room = scheduler, make_room


@contextlib.contextmanager
def in_worker(make_room: Callable[[], None]) -> Iterator[None]:
    """Let calls that this thread of a worker runs itself give their place to others; Dask has clients for them."""
    _in_thread.make_room = functools.cache(make_room)
    try:
        yield
    finally:
        del _in_thread.make_room


def client(**options: Any) -> Any:
    """Return a client on the scheduler of the call that runs in this process; None where there is none.

    Without options it is one for all of the call, with which it ends, and Dask's default client.
    """
    global _client
    if _scheduler is None or _make_room is None:
        getattr(_in_thread, "make_room", int)()
        return None
    import pickle

    from distributed import Client

    from offload.effects.watch import note

    address, security = _scheduler
    note("connection", address.rpartition("/")[2])
    _make_room()
    if options:
        return Client(address, security=pickle.loads(security), **options)
    if _client is None or _client.status != "running":
        _client = Client(address, security=pickle.loads(security))
    return _client


def provide(graph: Graph) -> None:
    """Have a default client of Dask for a call whose code asks Dask for one: it would find none."""
    if "distributed" not in graph.modules:
        return
    codes = [node.subject.__code__ for node in graph.nodes if isinstance(node.subject, FunctionType)]
    if any(_ASKED_FOR in code.co_names for code in codes):
        client()


def end() -> None:
    """End the client of a call that has ended: the next one might compute by it what it computes by itself."""
    global _client
    ending, _client = _client, None
    if ending is not None:
        ending.close()


def explain(error: BaseException) -> None:
    """Say with an error of Dask's why it has found nothing here."""
    if _scheduler is not None and type(error) is ValueError and str(error) in _SAID:
        error.add_note(NOTE)
