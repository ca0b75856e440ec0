"""Telling the user what a call did besides computing, and how to declare it."""

from __future__ import annotations

import os
import warnings

from offload.effects.static import OF_PATHS, chain, holds_path, reached
from offload.effects.static_names import CLOCK, ENVIRONMENT, LOOK, PROCESS, RANDOM
from offload.errors import EffectWarning, NotRecordedWarning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from offload.effects.record import Effects
    from offload.identity.functions.graph import Graph

    Place = tuple[str, int, str]

_VOUCH = "or, if it never matters, use @offload.task(effects='ignore')"
_UNDECLARED = {
    "file": (
        "it read {0}, which is no input of the call",
        "pass offload.File({0!r}) as an argument, or declare it: @offload.task(depends_on=[pathlib.Path({0!r})])",
    ),
    "missing": (
        "it looked for {0}, which is not there",
        "pass offload.Directory({1!r}) as an argument, or what you find there yourself",
    ),
    "directory": (
        "it listed {0}, which is no input of the call",
        (
            "pass offload.Directory({0!r}) as an argument, or declare it: "
            "@offload.task(depends_on=[offload.Directory({0!r})])"
        ),
    ),
    "connection": ("it connected to {0}", "fetch what it needs before, and pass that as an argument"),
    "listener": ("it listened on {0}", "receive what it needs before, and pass that as an argument"),
    "process": ("it started {0!r}, and what a process reads cannot be seen", "use offload.run for commands"),
    "input": ("it asked for input", "ask before, and pass the answer as an argument"),
    "figure": (
        "it used figure {0} of pyplot, which was open before the call",
        "begin with a figure of its own (plt.figure()), and close it at the end (plt.close())",
    ),
    "class": (
        "it unpickled {0}, whose code does not count",
        "declare the class: @offload.task(depends_on=[...])",
    ),
    "module": (
        "it imported {0}, whose code does not count",
        "import it by its name in the code, or declare it: @offload.task(depends_on=[{0}])",
    ),
    "memory": (
        "{0}, an lru_cache, remembers what it read from files, or computed before its code or globals were changed",
        "declare the files as inputs, or call its cache_clear()",
    ),
    "reader": (
        "it reaches {0}, whose reading cannot be seen, and no file is an input of the call",
        "pass offload.File(...) as an argument",
    ),
}
_REACHED = {
    CLOCK: "{0} tells the time, so a recalled result may differ from what running it now would give; "
    "pass the time as an argument",
    RANDOM: "{0} is random, so a recalled result may differ from what running it now would give; "
    "draw from a generator with a seed that is an argument",
    ENVIRONMENT: "the environment variable {0} does not count, so its change goes unnoticed; "
    "declare it by its name: @offload.task(environ=[...])",
    LOOK: "{0} asks about a file that is no input, so its change goes unnoticed; pass offload.File(...) as an argument",
    PROCESS: "{0} is another one in each process, so a recalled result may differ from what running it now would give; "
    "pass what it gives as an argument, or do without",
}

MOST_TOLD = 4
"""Things that a function's code reaches, of which each is told in a line of its own."""

LARGE = 200
"""Functions and classes that a function reaches, from which on two such things are told in one."""

_told: set[tuple[str, ...]] = set()


def tell(label: str, effects: Effects, stacklevel: int = 2, place: Place | None = None) -> None:
    """Warn of what a call did; of what it wrote once for each file.

    Parameters
    ----------
    label : str
        The function's ``module:qualname``.
    effects : Effects
        What was seen.
    stacklevel : int
        As for :func:`warnings.warn`, counted from the caller.
    place : tuple, optional
        Where it is to point instead, as :func:`offload.notices.users_place` says it.
    """
    for kind, what in effects.undeclared:
        if kind == "file" and not os.path.exists(what):  # then offload.File refuses it
            kind = "missing"
        told, cure = (text.format(what, os.path.dirname(what)) for text in _UNDECLARED[kind])
        text = f"{label}: the result is not recorded: {told}; {cure}, {_VOUCH}"
        warn_at(NotRecordedWarning(text), stacklevel + 1, place)
    for path in effects.written:
        if not os.path.isabs(path) and _is_new(label, path):
            text = (
                f"{label}: it wrote {path!r} in the directory in which it ran, which is removed after the call; "
                f"return offload.File({path!r}), and it is kept"
            )
            warn_at(EffectWarning(text), stacklevel + 1, place)
        elif _is_new(label, path):
            text = f"{label}: it wrote {path}, which happens only when it is computed, not when it is recalled"
            warn_at(EffectWarning(text), stacklevel + 1, place)
    for title in effects.settings:
        if _is_new(label, "set", title):
            text = f"{label}: it set {title}, which is put back after the call, since a recalled call sets nothing"
            warn_at(EffectWarning(text), stacklevel + 1, place)
    threads = getattr(effects, "threads", None)  # an earlier version's have none
    if threads and _is_new(label, "thread"):
        text = (
            f"{label}: it left a thread at work, {threads[0]}, which was ended after the call, since it would have "
            f"disturbed others; have the call wait for it, {_VOUCH}"
        )
        warn_at(EffectWarning(text), stacklevel + 1, place)


def warn_at(warning: Warning, stacklevel: int, place: Place | None) -> None:
    """Warn, as :func:`warnings.warn` does, but of the line that `place` names, where it names one; see `tell`."""
    if place is None:
        warnings.warn(warning, stacklevel=stacklevel + 1)
        return
    file, line, module = place
    warnings.warn_explicit(warning, None, file, line, module)


def tell_effect(label: str, key: tuple[str, ...], text: str, stacklevel: int = 2) -> None:
    """Warn of an effect of a call, once for each function and key."""
    if _is_new(label, *key):
        warnings.warn(EffectWarning(f"{label}: {text}"), stacklevel=stacklevel + 1)


def tell_changed(label: str, name: str, stacklevel: int = 2) -> None:
    """Warn that a call has changed one of its arguments, or what the class of one keeps."""
    text = (
        f"{label}: the result is not recorded: it changed its argument {name}, or what its class keeps, and a recalled "
        f"call changes nothing; change a copy and return that, submit the call, which then works on a copy, {_VOUCH}"
    )
    warnings.warn(NotRecordedWarning(text), stacklevel=stacklevel + 1)


def tell_once(label: str, effects: Effects, place: Place | None = None) -> None:
    """Warn of what one of many calls did, once in this process; `place` is as for `tell`."""
    new = type(effects)()
    new.undeclared = [(kind, what) for kind, what in effects.undeclared if _is_new(label, kind, what)]
    new.written, new.settings, new.threads = effects.written, effects.settings, getattr(effects, "threads", [])
    tell(label, new, place=place)


def tell_reached(
    label: str, graph: Graph, stacklevel: int = 2, inputs: bool = False, values: Iterable[object] = ()
) -> None:
    """Warn once of clocks, random generators, environment variables and the like that a function's code reaches.

    With files among its `inputs`, it may well be these that it asks about. What may be a method of a path is one where
    the code has to do with paths, or one of the arguments' `values` is one. Each has a line of its own, unless most of
    them are only somewhere in a large library.
    """
    new: list[tuple[str, str]] = []
    paths = "pathlib" in graph.outside or holds_path(values)
    for name, kind in reached(graph).items():
        if kind == OF_PATHS:
            if not paths:
                continue
            kind = LOOK
        if (inputs and kind == LOOK) or (kind in (LOOK, PROCESS) and len(graph.nodes) > LARGE):
            continue
        if kind in _REACHED and _is_new(label, kind, name) and not (kind == ENVIRONMENT and _is_declared(graph, name)):
            new.append((name, _REACHED[kind].format(name)))
    texts = [text for _, text in new]
    if len(new) > MOST_TOLD or (len(new) > 1 and len(graph.nodes) > LARGE):
        name = min((name for name, _ in new), key=lambda name: len(chain(graph, name)))
        path = " -> ".join([*(one.rpartition(":")[2] for one in chain(graph, name)), name])
        text = (
            f"its code reaches {len(new)} clocks, random generators, undeclared environment variables and the like, "
            f"the nearest by {path}; where one of them counts, a recalled result may differ from what running it now "
            "would give"
        )
        texts = [text]
    for text in texts:
        warnings.warn(EffectWarning(f"{label}: {text}"), stacklevel=stacklevel + 1)


def _is_declared(graph: Graph, name: str) -> bool:
    """Tell whether a variable counts; where code computes its name, whoever declares some knows which."""
    declared = {node.label for node in graph.nodes if node.kind == "variable"}
    return name in declared or (bool(declared) and "." in name)


def _is_new(*what: str) -> bool:
    if what in _told:
        return False
    _told.add(what)
    return True
