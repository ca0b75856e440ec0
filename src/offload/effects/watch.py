"""Watching calls while they run, by audit events.

A hook cannot be removed. So there is one in a process, installed when the first call is computed; while no call is
running, it returns at once. What an event means is in :mod:`offload.effects.events`.

An event belongs to the call that its thread is running, and to all calls around that one. A thread that a call has
started belongs to it (Python 3.11 does not tell). Any other thread may work for any call, as those of a library's pool
do, unless it is known.
"""

from __future__ import annotations

import sys
import threading
from contextvars import ContextVar
from weakref import WeakKeyDictionary

from offload.effects import attribution, figures, imports_by_name, native_reads
from offload.effects.static import readers
from offload.effects.watched import Watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import Token
    from typing import Any

    from offload.effects.record import Effects
    from offload.identity.functions.graph import Graph
    from offload.identity.libraries.settings import Kept

_STARTS = {"_thread.start_new_thread", "_thread.start_joinable_thread"}


class Watch(Watched):
    """One call that is being watched; the parameters are those of `Watched`."""

    __slots__ = ("_token", "modules")

    def __init__(self, declared: Iterable[Any] = (), ignores: bool = False) -> None:
        super().__init__(declared, ignores)
        self.modules = len(sys.modules)  # how many there were before
        self._token: Token[Watched | None] | None = None

    def listen(self, graph: Graph, values: Iterable[object], modules: Iterable[str] = ()) -> None:
        """Let the kernel tell what is opened, as far as it does, and Python what is imported; before `begin`.

        Parameters
        ----------
        graph : Graph
            Of the function.
        values : iterable
            The arguments.
        modules : iterable of str
            Modules of libraries that these reach.
        """
        ident = threading.get_ident()
        known = ident in _judging
        _judging.add(ident)  # what is looked at for this is not the doing of any call
        try:
            native_reads.begin(self, graph, values, modules)
            if graph.caches and not self.ignores:
                from offload.effects import memos

                self.caches = memos.before(graph)
            if graph.unfollowed and imports_by_name.computes_names(graph):
                self.by_name = imports_by_name.named(graph)
                imports_by_name.listen(_note_import)
            self.figures = figures.opened()
            if self.figures:
                figures.listen(_note_figure)
        finally:
            if not known:
                _judging.discard(ident)

    def begin(self) -> None:
        """Take note of what this thread does from now on."""
        if not _installed:
            _install()
        ident = threading.get_ident()
        self.above = _top(ident)
        _running[ident] = self
        _active.add(self)

    def end(self) -> None:
        """Stop."""
        if self.opened is not None:
            native_reads.end(self)
        ident = threading.get_ident()
        self.ended = True
        _active.discard(self)
        if self.above is None:
            _running.pop(ident, None)
        else:
            _running[ident] = self.above

    def begin_task(self) -> None:
        """Begin within an asyncio task: others may run in this thread in between."""
        if not _installed:
            _install()
        self.above = _top(threading.get_ident())
        self._token = _of_context.set(self)
        _active.add(self)

    def end_task(self) -> None:
        """Stop what `begin_task` has begun."""
        if self.opened is not None:
            native_reads.end(self)
        assert self._token is not None
        _of_context.reset(self._token)
        self.ended = True
        _active.discard(self)

    def put_back(self, settings: Kept) -> None:
        """Put back what the call has set, and take note of it."""
        for title in settings.put_back():
            if not self.ignores:
                self.effects.settings.append(title)

    def all_seen(self, graph: Graph) -> Effects | None:
        """Return what was seen, if anything, and what cannot be seen of the function with this graph."""
        before = len(self.effects.undeclared) if self.opened else 0
        if self.opened and not self.ignores:
            native_reads.judge(self)
        told = self.seen is not None and len(self.seen.undeclared) > before
        if not self.declared and not self.ignores and not (self.opened and told):
            for name in readers(graph):
                self.effects.add("reader", name)
        if self.caches:
            from offload.effects import memos

            memos.judge(self)
        # What the code reaches by its name was loaded when it was followed.
        loaded = _loaded_since(self.modules) if len(sys.modules) > self.modules else []
        if (self.code or loaded) and not self.ignores:
            from offload.effects.uncounted_code import uncounted

            for kind, name in uncounted({*self.code, *((name, "") for name in loaded)}, graph):
                self.effects.add(kind, name)
        return self.seen


def _loaded_since(count: int) -> list[str]:
    """Return the modules after the first so many, without other names for these (multiprocessing makes one)."""
    modules = list(sys.modules.items())
    before = {id(module) for _, module in modules[:count]}
    return [name for name, module in modules[count:] if id(module) not in before]


_running: dict[int, Watched] = {}  # by thread, the innermost call
_active: set[Watched] = set()
_of_context: ContextVar[Watched | None] = ContextVar("offload_call", default=None)
_started: WeakKeyDictionary[threading.Thread, Watched] = WeakKeyDictionary()  # threads that calls have started
_judging: set[int] = set()  # threads in which the hook is at work
_judges: dict[str, Callable[[list[Watched], Any], None]] = {}
_installed = False


def _install() -> None:
    global _installed
    from offload.effects.events import JUDGES

    _judges.update(JUDGES)
    _installed = True
    sys.addaudithook(_hook)


def _hook(event: str, args: Any) -> None:
    if not _active:
        return
    judge = _judges.get(event)
    if (
        judge is not None
        and event in native_reads.BY_PYTHON
        and native_reads.listens()
        and type(args[0]) in (str, bytes)
    ):
        native_reads.by_python.add(args[0])
    if judge is None and event not in _STARTS:
        return
    ident = threading.get_ident()
    if ident in _judging:
        return
    _judging.add(ident)
    try:
        if judge is None:
            _note_thread(ident, args[0])
        elif watches := _watches(ident):
            judge(watches, args)
    finally:
        _judging.discard(ident)


def _note_import(name: str) -> None:
    """Take note of a module that is imported by the code of a call, and was loaded before."""
    ident = threading.get_ident()
    if _active and ident not in _judging:
        for watch in _watches(ident):
            if watch.by_name is not None and name not in watch.by_name:
                watch.code.add((name, ""))


def _note_figure(figure: Any) -> None:
    """Take note of a figure of pyplot that was open before a call."""
    for watch in _watches(threading.get_ident()) if _active else ():
        if any(figure is one for one in watch.figures):
            watch.effects.add("figure", str(figure.num))


def note(kind: str, what: str) -> None:
    """Let what a call in this thread has made use of count as its own doing, where it runs elsewhere."""
    if _active:
        for watch in _around(_top(threading.get_ident())):
            watch.effects.add(kind, what)


def _top(ident: int) -> Watched | None:
    """Return the innermost call that a thread, or its asyncio task, is running."""
    own, task = _running.get(ident), _of_context.get()
    if task is None or task.ended:
        return own
    return own if task in _around(own) else task


def _around(watch: Watched | None) -> list[Watched]:
    """Return a call and those around it, up to one whose effects do not count."""
    found: list[Watched] = []
    while watch is not None and not watch.ignores:
        found.append(watch)
        watch = watch.above
    return found


def _watches(ident: int) -> list[Watched]:
    """Return the calls to which an event in a thread belongs."""
    top = _top(ident)
    if top is not None:
        return _around(top)
    thread = threading._active.get(ident)  # type: ignore[attr-defined]
    if thread is not None:
        starter = _started.get(thread)
        if starter is not None and not starter.ended:
            return _around(starter)
        if starter is None and attribution.is_bystander(thread):
            return []
    return [watch for watch in list(_active) if not watch.ignores]


def _note_thread(ident: int, function: Any) -> None:
    thread = getattr(function, "__self__", None)
    top = _top(ident) or _started.get(threading._active.get(ident))  # type: ignore[attr-defined]
    if top is not None and isinstance(thread, threading.Thread) and attribution.is_of_call():
        _started[thread] = top
