"""What an ``lru_cache`` remembers, where that is no longer what the function would give.

What it remembers does not count. That is right for as long as it came from arguments and code that count. What was read
from files, or computed before the code or its globals were changed, is another thing: a result that was taken
from there would be recorded as one of today.
"""

from __future__ import annotations

import os
from types import FunctionType
from weakref import WeakKeyDictionary

from offload.errors import EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from offload.effects.watched import Watched
    from offload.identity.functions.graph import Graph

_READS = frozenset(("fromfile", "genfromtxt", "iterdir", "listdir", "loadtxt", "memmap", "open", "scandir"))

_READING = ("directory", "file", "memory", "reader")


class _Memory:
    """What is known of how a cache was filled."""

    __slots__ = ("checksum", "files", "filled", "has_read")

    def __init__(self) -> None:
        self.filled = 0  # so many entries were made, as far as is known
        self.checksum: str | None = None  # of the function then
        self.files: dict[str, object] = {}  # of the calls that filled it, and what they were
        self.has_read = False  # something that was no input


_known: WeakKeyDictionary[Any, _Memory] = WeakKeyDictionary()


def before(graph: Graph) -> list[tuple[Any, Any]]:
    """Return the caches that a call may use, and how they are; before it runs."""
    found = []
    for cache in graph.caches:
        info = cache.cache_info()
        memory = _known.get(cache)
        if memory is None or info.misses < memory.filled:  # new, or it was cleared
            memory = _known[cache] = _Memory()
        if info.misses > memory.filled:  # by code that no call has run: nobody has seen what it did
            memory.has_read = memory.has_read or _may_read(cache)
        if info.currsize and memory.checksum is None:
            memory.checksum = _checksum(cache)
        found.append((cache, info))
    return found


def clear_stale(graph: Graph) -> None:
    """Clear caches that hold what is no longer so: in a process that runs the calls of many programs, before a call."""
    for cache in graph.caches:
        memory = _known.get(cache)
        if memory is not None and memory.checksum is not None and _is_stale(memory, cache):
            cache.cache_clear()


def _is_stale(memory: _Memory, cache: Any) -> bool:
    return any(_state(path) != state for path, state in memory.files.items()) or memory.checksum != _checksum(cache)


def judge(watch: Watched) -> None:
    """Take note of what a call has taken from caches that is not what it would be now; after it ran."""
    files = {path: _state(path) for path in watch.declared}
    seen = [] if watch.seen is None else watch.seen.undeclared
    has_read = any(kind in _READING for kind, _ in seen)
    for cache, info in watch.caches:
        memory, now = _known[cache], cache.cache_info()
        took = info.currsize and now.hits > info.hits
        if took and ((memory.has_read and not files) or _is_stale(memory, cache)):
            watch.effects.add("memory", getattr(cache, "__qualname__", repr(cache.__wrapped__)))
        if now.misses != info.misses:
            if files and _may_read(cache):
                memory.has_read = True
                memory.files.update(files)
            memory.files.update((path, _state(path)) for kind, path in seen if kind in ("directory", "file"))
            memory.has_read = memory.has_read or has_read
            memory.checksum = memory.checksum or _checksum(cache)
        memory.filled = now.misses


def _may_read(cache: Any) -> bool:
    """Tell whether the code of a function has to do with files."""
    from offload.identity.functions.identify import closure

    if not isinstance(cache.__wrapped__, FunctionType):
        return False
    try:
        names = closure(cache.__wrapped__).names
    except EncodeError:
        return True
    return bool(names & _READS) or any(name.startswith("read_") for name in names)


def _checksum(cache: Any) -> str | None:
    from offload.identity.functions.identify import closure

    if not isinstance(cache.__wrapped__, FunctionType):
        return None
    try:
        return closure(cache.__wrapped__).checksum
    except EncodeError:
        return None


def _state(path: str) -> object:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
