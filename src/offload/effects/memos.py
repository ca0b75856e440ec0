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
        self.files: dict[str, object] = {}  # inputs of the calls that filled it, and what they were
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


def judge(watch: Watched) -> None:
    """Take note of what a call has taken from caches that is not what it would be now; after it ran."""
    files = {path: _state(path) for path in watch.declared}
    has_read = watch.seen is not None and any(kind in _READING for kind, _ in watch.seen.undeclared)
    for cache, info in watch.caches:
        memory, now = _known[cache], cache.cache_info()
        if info.currsize and now.hits > info.hits:
            changed = any(_state(path) != state for path, state in memory.files.items())
            if changed or (memory.has_read and not files) or memory.checksum != _checksum(cache):
                watch.effects.add("memory", getattr(cache, "__qualname__", repr(cache.__wrapped__)))
        if now.misses != info.misses:
            memory.files.update(files)
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
