"""Files that a call opens in native code, of which no audit event tells: where the kernel does, that is seen, too.

Looked at are the current directory, those of the project's code, and those that strings and paths name: in the code, in
globals that it reads, and in arguments. What Python opens itself is told by its audit events.
"""

from __future__ import annotations

import os
import sys
import threading
from itertools import islice
from time import monotonic
from types import CodeType, FunctionType, ModuleType
from weakref import WeakKeyDictionary

from offload.effects.paths import is_no_input, is_scratch
from offload.identity.origins import original

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from offload.effects.fanotify import Group
    from offload.effects.watched import Watched
    from offload.identity.functions.graph import Graph

BY_PYTHON = {"open", "os.listdir", "os.scandir", "sqlite3.connect", "ctypes.dlopen"}
"""Audit events whose first argument is a path that Python opens."""

_LIBRARIES = (".so", ".dylib", ".pyd")
_DATABASES = ("-journal", "-shm", "-wal")
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "dist-packages"}
_MOST_FOLDERS, _MOST_NAMES, _MOST_TEXTS, _LONGEST = 64, 100_000, 100, 4096
_SECONDS = 1.0  # for which directories below the current one are taken to be the same

_lock = threading.RLock()
_group: Group | None = None
_refused = sys.platform != "linux"
_known: dict[str, tuple[int, int]] = {}  # directories that are looked at: device and number
_asked: dict[str, float] = {}  # when the directories below one were looked for
_listening: list[Watched] = []
_named: WeakKeyDictionary[Graph, tuple[str, ...]] = WeakKeyDictionary()
_extended: WeakKeyDictionary[Graph, bool] = WeakKeyDictionary()  # whether modules are among what it reaches

by_python: set[str | bytes] = set()
"""What Python has opened while a call listened."""


def listens() -> bool:
    """Tell whether a call listens."""
    return bool(_listening)


def begin(watch: Watched, graph: Graph, values: Iterable[object], modules: Iterable[str]) -> None:
    """Listen to what is opened while a call runs; not where it reaches no library that could open anything natively."""
    if _refused or not (graph.modules or any(modules) or _is_extended(graph)):
        return
    with _lock:
        group = _made()
        if group is None:
            return
        _look_at(group, graph, values)
        if _listening:
            _hand_out(group)
        else:
            by_python.clear()
            group.forget()
        _listening.append(watch)
        watch.opened = {}


def end(watch: Watched) -> None:
    """Listen no more."""
    with _lock:
        if _group is not None and watch in _listening:
            _hand_out(_group)
            _listening.remove(watch)


def judge(watch: Watched) -> None:
    """Note what a call has opened that it had not declared, and what it has written."""
    from offload.effects.events import is_declared
    from offload.effects.fanotify import CLOSED, CREATED, MODIFY, MOVED_HERE, OPEN

    if not watch.opened or len(by_python) >= _MOST_NAMES:
        return
    names = _Names(by_python)
    for path, what in watch.opened.items():
        if path in names or path.endswith(_LIBRARIES) or ".so." in path:
            continue
        if (told := original(path)) != path:
            path = told
        elif _is_own(path):
            continue
        if what & (CREATED | MOVED_HERE | CLOSED | MODIFY):
            if not is_scratch(path) and not is_declared(watch, path):
                watch.effects.wrote(path)
        elif what & OPEN and not is_declared(watch, path) and not is_no_input(path):
            watch.effects.add("file", path)


class _Names:
    """The names under which Python has opened files."""

    def __init__(self, names: set[str | bytes]) -> None:
        texts = [os.fsdecode(name) for name in list(names)]
        self._paths = {os.path.realpath(text) for text in texts if os.path.isabs(text)}
        # Where the others led, the current directory of then would tell, or that which they were opened in.
        self._ends = tuple({os.path.normpath(f"/{text}") for text in texts if not os.path.isabs(text)})
        self._paths |= {os.path.realpath(text) for text in texts}

    def __contains__(self, path: object) -> bool:
        text = str(path)
        for end in _DATABASES:
            text = text.removesuffix(end)
        return text in self._paths or text.endswith(self._ends)


def _made() -> Group | None:
    """Return the group of this process, or None where the kernel does not tell."""
    global _group, _refused
    if _group is None and not _refused:
        from offload.effects.fanotify import Group, RefusedError

        try:
            _group = Group()
        except RefusedError:
            _refused = True
        else:
            os.register_at_fork(after_in_child=_leave)
    return _group


def _leave() -> None:
    """In a child of this process: what is told is for the parent."""
    global _group, _lock
    _lock = threading.RLock()
    if _group is not None:
        _group.close()
        _group = None
    _listening.clear()
    _known.clear()
    _asked.clear()


def _hand_out(group: Group) -> None:
    """Give what was opened to the calls that run, but for those within which a call is vouched for."""
    vouched = set()
    for watch in _listening:
        above = watch.above if watch.ignores else None
        while above is not None:
            vouched.add(above)
            above = above.above
    events = group.events()
    declared = [watch for watch in _listening if watch not in vouched]
    for path, what in events.items():
        # Of calls in several threads, who has declared a file has opened it.
        from offload.effects.events import is_declared

        owners = [watch for watch in declared if is_declared(watch, path)]
        for watch in declared:
            if not watch.ignores and watch.opened is not None and (not owners or _is_around(watch, owners)):
                watch.opened[path] = watch.opened.get(path, 0) | what


def _is_around(watch: Watched, others: list[Watched]) -> bool:
    for other in others:
        above: Watched | None = other
        while above is not None:
            if above is watch:
                return True
            above = above.above
    return False


def _is_own(path: str) -> bool:
    """Tell whether a file is offload's."""
    from offload.registry.location import home, kept

    own = home()
    places = [os.path.join(os.path.realpath(place), "") for place in (own, *kept(own)[:2]) if place]
    return os.path.join(path, "").startswith(tuple(places)) or any(path.startswith(place[:-1]) for place in places[1:])


def _is_extended(graph: Graph) -> bool:
    known = _extended.get(graph)
    if known is None:
        known = _extended[graph] = any(isinstance(node.subject, ModuleType) for node in graph.nodes)
    return known


def _look_at(group: Group, graph: Graph, values: Iterable[object]) -> None:
    named = _named.get(graph)
    if named is None:
        named = _named[graph] = tuple(dict.fromkeys(_names_in(graph)))
    for folder in _places(graph):
        now = monotonic()
        if now - _asked.get(folder, -_SECONDS) >= _SECONDS:
            _asked[folder] = now
            for one in _below(folder, 2):
                _look(group, one)
    texts = [text for value in values for text in _texts(value)][:_MOST_TEXTS]
    for text in dict.fromkeys((*named, *texts)):
        for folder in _folders_of(text):
            for one in _below(folder, 1):
                _look(group, one)


def _look(group: Group, folder: str) -> None:
    try:
        status = os.stat(folder)
        key = status.st_dev, status.st_ino
        if _known.get(folder) != key and len(_known) < _MOST_FOLDERS * _MOST_FOLDERS:
            _known[folder] = key
            group.look_at(folder)
    except OSError:  # it has gone, may not be read, or lies on a file system that does not tell
        pass


def _places(graph: Graph) -> Iterator[str]:
    """Yield the current directory, and where the project's code lies."""
    yield os.getcwd()
    files = {node.subject.__code__.co_filename for node in graph.nodes if isinstance(node.subject, FunctionType)}
    yield from sorted({os.path.dirname(file) for file in files if os.path.isabs(file)})


def _below(folder: str, levels: int) -> list[str]:
    """Return a directory with those below it, but for hidden ones and those of installed code."""
    found = [folder]
    if folder == os.path.expanduser("~"):
        return found
    for one in found:
        if len(found) >= _MOST_FOLDERS or one.count(os.sep) >= folder.count(os.sep) + levels:
            break
        try:
            with os.scandir(one) as entries:
                inner = sorted(e.path for e in entries if e.name[0] != "." and e.name not in _SKIPPED and e.is_dir())
        except OSError:
            continue
        found += [path for path in inner if not os.path.exists(os.path.join(path, "pyvenv.cfg"))]
    return found[:_MOST_FOLDERS]


def _names_in(graph: Graph) -> Iterator[str]:
    """Yield what may be a path in the code of a graph, and in the globals that it reads."""
    for node in graph.nodes:
        if isinstance(node.subject, FunctionType):
            yield from _constants(node.subject.__code__)
    for _, _, found in graph._names:
        yield from _texts(found)


def _constants(code: CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _constants(constant)
        else:
            yield from _texts(constant)


def _texts(value: object, depth: int = 2) -> Iterator[str]:
    """Yield the paths that a value may name, and those that a text such as a query may hold."""
    if type(value) is str:
        if ("/" in value or "." in value) and len(value) <= _LONGEST:
            yield value
            if any(sign in value for sign in " '\"*?"):
                yield from (word for word in _split(value) if "/" in word or "." in word)
    elif type(value).__module__.partition(".")[0] == "pathlib":
        yield str(value)
    elif type(value) in (dict, list, tuple, set, frozenset) and depth:
        items: Any = value.values() if isinstance(value, dict) else value
        for item in list(islice(items, _MOST_TEXTS)):
            yield from _texts(item, depth - 1)


def _split(text: str) -> list[str]:
    for sign in "'\"`,;()<>|*?[]{}=":
        text = text.replace(sign, " ")
    return text.split()


def _folders_of(text: str) -> list[str]:
    """Return the directory that a text names, or in which what it names may lie."""
    if "\0" in text or "\n" in text:
        return []
    path = os.path.abspath(os.path.expanduser(text))
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    if folder == os.sep or not os.path.isdir(folder) or is_no_input(folder):
        return []
    return [folder]
