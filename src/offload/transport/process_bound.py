"""What belongs to a process, and is made anew in a worker that does not import the module that made it.

As if that module had been imported there: a lock that nobody holds, a pool without work, what a variable of the context
or a weak dictionary holds here. What is in use belongs to this process, and does not travel.
"""

from __future__ import annotations

import _thread
import gc
import json
import struct
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import cmp_to_key, lru_cache
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from offload.errors import EncodeError
from offload.identity.functions.unpicklable import SCANNER, leads_to
from offload.identity.inspection import is_a
from offload.identity.libraries.distributions import PROJECT, origin

Parts = tuple[Any, ...]
CACHED: type = type(lru_cache(len))
"""Of functions that remember results, which pickle knows by their names only."""


def parts(value: Any) -> Parts | None:
    """Return what a value is made anew of, as pickle asks for it; None where it is pickled as it is.

    Raises
    ------
    EncodeError
        If it is in use.
    """
    cls = type(value)
    make = _MAKE.get(cls)
    if make is None and is_a(value, threading.local):
        make = _local
    if make is None and cls.__qualname__ == "ufunc":
        make = _vectorized
    if make is None and cls.__qualname__ in _POOLS:
        module, made = _POOLS[cls.__qualname__]
        make = made if cls is getattr(sys.modules.get(module), cls.__qualname__, None) else None
    return None if make is None else make(value)


def _lock(lock: Any) -> Parts:
    if repr(lock).startswith("<locked "):  # before Python 3.14, an RLock tells it nowhere else
        raise EncodeError(f"{'a lock' if type(lock) is _thread.LockType else 'an RLock'} is held")
    return (threading.Lock if type(lock) is _thread.LockType else threading.RLock), ()


def _variable(variable: ContextVar[Any]) -> Parts:
    try:
        return made_variable, (variable.name, variable.get())
    except LookupError:  # it has neither a value here nor a default
        return made_variable, (variable.name,)


def made_variable(name: str, *default: Any) -> ContextVar[Any]:
    """Make a variable of the context; its value in the process that it comes from is its default."""
    return ContextVar(name, default=default[0]) if default else ContextVar(name)


def _local(values: threading.local) -> Parts:
    cls: type[threading.local] = type(values)
    return cls.__new__, (cls,), dict(vars(values)) or None


def _weak(pairs: Any) -> Parts:
    return type(pairs), (), None, None, iter(list(pairs.items()))


def _reference(reference: Any) -> Parts:
    if reference.__callback__ is not None or reference() is None:
        raise EncodeError("a weak reference is dead, or calls something when it is")
    return ref, (reference(),)


def _threads(pool: Any) -> Parts:
    _is_idle(pool, pool._shutdown or pool._work_queue.qsize() or any(not thread.is_alive() for thread in pool._threads))
    return type(pool), (pool._max_workers, pool._thread_name_prefix, pool._initializer, pool._initargs)


def _processes(pool: Any) -> Parts:
    _is_idle(pool, pool._shutdown_thread or pool._pending_work_items or pool._broken)
    method = pool._mp_context.get_start_method()
    return made_pool, (pool._max_workers, method, pool._initializer, pool._initargs)


def made_pool(most: int, method: str, initializer: Callable[..., object] | None, arguments: Parts) -> Any:
    """Make a pool of processes that are started in some way."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(most, multiprocessing.get_context(method), initializer, arguments)


def _is_idle(pool: Any, busy: object) -> None:
    if busy:
        raise EncodeError(f"a {type(pool).__name__} has work, or has ended")


def _cached(function: Any) -> Parts | None:
    """Return how to make a function that remembers results, where its module is the project's."""
    if origin(function.__module__) != PROJECT:
        return None
    how = function.cache_parameters()
    return made_cached, (function.__wrapped__, how["maxsize"], how["typed"])


def made_cached(function: Callable[..., Any], most: int | None, typed: bool) -> Any:
    """Make a function remember results."""
    return lru_cache(most, typed)(function)


def _key(wrapper: Any) -> Parts | None:
    held = [one for one in gc.get_referents(wrapper) if one is not type(wrapper)]
    return (cmp_to_key, (held[0],)) if len(held) == 1 else None


def _scanner(scanner: Any) -> Parts:
    return made_scanner, ({name: getattr(scanner, name) for name in SCANNER},)


def made_scanner(how: dict[str, Any]) -> Any:
    """Make what a JSON decoder scans texts with."""
    return json.scanner.c_make_scanner(SimpleNamespace(**how))  # type: ignore[attr-defined]


def _vectorized(ufunc: Any) -> Parts | None:
    told: Any = leads_to(ufunc)
    if told is None:
        return None
    takes, gives, functions = told[1]
    return sys.modules["numpy"].frompyfunc, (functions[0], takes, gives)


_MAKE: dict[type, Callable[[Any], Parts | None]] = {
    _thread.LockType: _lock,
    type(threading.RLock()): _lock,
    ContextVar: _variable,
    threading.local: _local,
    WeakKeyDictionary: _weak,
    WeakValueDictionary: _weak,
    ref: _reference,
    CACHED: _cached,
    type(cmp_to_key(min)): _key,
    type(vars(json.JSONDecoder())["scan_once"]): _scanner,
    struct.Struct: lambda packed: (struct.Struct, (packed.format,)),
}
# By their names: to import them takes as long as most calls.
_POOLS: dict[str, tuple[str, Callable[[Any], Parts]]] = {
    "ThreadPoolExecutor": ("concurrent.futures.thread", _threads),
    "ProcessPoolExecutor": ("concurrent.futures.process", _processes),
}
