"""The worker's side: run a batch of calls of one function, and give back buffers.

Everything here runs in the processes that compute. What a worker was sent is checked before it runs: if the function
it ends up with is not the one that was identified, nothing is executed: its result would be recorded under a wrong
name.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
import traceback
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from offload.errors import IdentityError, OffloadError
from offload.identity.graph import Graph

# Results of more bytes are put into the store by the worker; smaller ones travel with the batch.
LARGE = 64 * 1024

_state = threading.local()
_functions: dict[str, tuple[Callable[..., Any], Graph]] = {}


class Stored:
    """An argument that lies in the store: the worker fetches it, not the client."""

    __slots__ = ("checksum",)

    def __init__(self, checksum: str) -> None:
        self.checksum = checksum


class Batch:
    """Calls of one function, to be run one after another.

    Parameters
    ----------
    home : str
        The home whose store takes large results.
    function : str
        Checksum of the function's graph.
    payload : bytes
        The pickled function.
    calls : list of (tuple, dict)
        Arguments by position and by name.
    """

    __slots__ = ("calls", "function", "home", "payload")

    def __init__(self, home: str, function: str, payload: bytes, calls: list[tuple[Any, dict[str, Any]]]) -> None:
        self.home = home
        self.function = function
        self.payload = payload
        self.calls = calls


class Outcome:
    """What became of one call: a result's buffer or checksum, or an exception.

    Attributes
    ----------
    checksum : str or None
        Of the result.
    buffer : bytes or None
        The result, unless it lies in the store already.
    error : BaseException or None
        What the call raised.
    value : object
        The result itself, where it could not be encoded.
    started, seconds : float
        Unix time, and how long the function ran.
    """

    __slots__ = ("buffer", "checksum", "error", "seconds", "started", "value")

    def __init__(self, started: float) -> None:
        self.checksum: str | None = None
        self.buffer: bytes | None = None
        self.error: BaseException | None = None
        self.value: object = None
        self.started = started
        self.seconds = 0.0


def inside() -> bool:
    """Tell whether this thread is running a call for a batch."""
    return getattr(_state, "busy", False)


def execute(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Call a function; a coroutine is run to its end."""
    result = function(*args, **kwargs)
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    return result


def run_batch(batch: Batch) -> list[Outcome]:
    """Run the calls of a batch.

    Returns
    -------
    list of Outcome
        One for each call; a call that fails does not stop the others.

    Raises
    ------
    IdentityError
        If the function is not here what it was where it was identified.
    """
    function = _load(batch)
    return [_run(function, batch, args, kwargs) for args, kwargs in batch.calls]


def _load(batch: Batch) -> Callable[..., Any]:
    import pickle

    known = _functions.get(batch.function)
    if known is not None and known[1].is_current():
        return known[0]
    function: Callable[..., Any] = pickle.loads(batch.payload)
    graph = Graph(function)
    if graph.checksum != batch.function:
        names = ", ".join(sorted({n.label.partition(":")[0] for n in graph.nodes} - {"__main__"}))
        raise IdentityError(
            f"the function {getattr(function, '__qualname__', function)!s} is not the same on the worker as here",
            f"a module may have been edited or changed after its import ({names or 'none of its own'}): restart Python",
        )
    _functions[batch.function] = function, graph
    return function


def _run(function: Callable[..., Any], batch: Batch, args: Any, kwargs: dict[str, Any]) -> Outcome:
    outcome = Outcome(time.time())
    began = time.perf_counter()
    _state.busy = True
    try:
        args = tuple(_fetch(batch.home, a) for a in args)
        kwargs = {name: _fetch(batch.home, a) for name, a in kwargs.items()}
        began = time.perf_counter()
        result = execute(function, args, kwargs)
    except Exception as exc:
        outcome.error = _portable(exc)
        return outcome
    finally:
        _state.busy = False
        outcome.seconds = time.perf_counter() - began
    _keep(outcome, batch.home, result)
    return outcome


def _fetch(home: str, argument: Any) -> Any:
    if type(argument) is not Stored:
        return argument
    from offload.compute.session import session_of
    from offload.compute.values import from_buffer
    from offload.errors import BufferMissingError

    (data,) = session_of(home).store.get([argument.checksum])
    if data is None:
        raise BufferMissingError(f"the argument {argument.checksum} is no longer in the store", "submit the call again")
    return from_buffer(data, argument.checksum)


def _keep(outcome: Outcome, home: str, result: object) -> None:
    """Turn the result into a buffer, and put a large one into the store."""
    from offload.compute.session import session_of
    from offload.compute.values import to_buffer

    try:
        chunks = to_buffer(result)
        if sum(map(len, chunks)) >= LARGE:
            outcome.checksum = session_of(home).store.put([chunks])[0]
            return
        outcome.buffer = b"".join(chunks)
        outcome.checksum = sha256(outcome.buffer).hexdigest()
    except OffloadError as exc:
        outcome.error = exc


def _portable(error: Exception) -> BaseException:
    """Return the exception in a form that travels, with the place where it was raised."""
    import pickle

    text = "".join(traceback.format_exception(error))
    error.add_note("\nraised in the worker:\n" + text)
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:  # an exception's own pickling may raise anything
        return RuntimeError(text)
    return copy if isinstance(copy, BaseException) else RuntimeError(text)
