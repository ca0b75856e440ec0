"""Telling that a global value is another one in each process, so that nothing is recalled: an id, an order, a clock."""

from __future__ import annotations

import os
import sys
import warnings

from offload.errors import EffectWarning, OffloadError
from offload.identity.libraries.distributions import PROJECT, origin
from offload.identity.values.decode import decode
from offload.notices import users_level
from offload.tasks.call import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.api.code_differences import Code
    from offload.identity.functions.graph import Graph
    from offload.registry.session import Session
    from offload.storage.records import Transformation

_MOST = 20  # calls that are looked at
_asked: set[str] = set()


def tell_other_each_time(session: Session, label: str, graph: Graph) -> None:
    """Warn where a library's object was another one in each of the last three processes, and nothing else was.

    That is found in what was recorded, once in a process for each function: two earlier processes computed the same
    code, none of whose files has changed since, with another object each.
    """
    if label in _asked:
        return
    _asked.add(label)
    try:
        names = _names(session, label, graph)
    except (OffloadError, KeyError, TypeError, ValueError, OSError):  # it was recorded in another way
        return
    for name, cls in names:
        text = (
            f"{label}: {name}, a {cls}, was another one in each of the last three processes, although no file of the "
            "code has changed: so each process computes anew. Make it the same each time (a seed, a name in place of "
            f'a random one); or, if what differs changes no result, let it not count: @offload.task(ignore=["{name}"])'
        )
        warnings.warn(EffectWarning(text), stacklevel=users_level())


def _names(session: Session, label: str, graph: Graph) -> list[tuple[str, str]]:
    others: dict[str, Transformation] = {}
    for one in session.database.nearest("python", label, _MOST):
        if one.function is not None and one.function != graph.checksum:
            others.setdefault(one.function, one)
    if len(others) < 2:
        return []
    codes, processes, started = [_code(session, explain(session, graph))], {os.getpid()}, []
    for other in list(others.values())[:2]:
        (run,) = session.database.runs(transformation=other.checksum, limit=1)
        details = decode(run.details)
        codes.append(_code(session, details["parts"]))
        processes.add(details["pid"])
        started.append(run.started)
    if len(processes) < 3 or _newest(graph) >= min(started):
        return []
    found = [_reads(one, other) for one, other in ((codes[0], codes[1]), (codes[0], codes[2]), (codes[1], codes[2]))]
    if None in found or not found[0] or any(one != found[0] for one in found):
        return []
    return sorted({(name.partition(".")[0], cls) for name, cls in found[0].items()})


def _code(session: Session, checksum: str) -> Code:
    from offload.api.code_differences import Code

    (data,) = session.store.get([checksum])
    return Code(decode(data or b"\xf6"))


def _reads(one: Code, other: Code) -> dict[str, str] | None:
    """Return the names that two functions read other objects under, with their classes; None where more differs."""
    from offload.api.code_differences import code_differences

    names = set()
    for difference in code_differences(one, other):
        _, reads, name = difference.part.partition(" reads ")
        if not reads or difference.before is None or difference.after is None:
            return None
        names.add(name)
    found = {}
    for kind, _, content, *_ in one.nodes:
        for _, name, what in content[3] if kind == "function" else ():
            if name in names:
                if what[0] != "value" or type(what[2]) is not str or len(what[2]) != 64 or what[1] in _PLAIN:
                    return None
                found[name] = what[1]
    return found


_PLAIN = {"str", "bytes", "list", "dict", "tuple", "set", "frozenset"}  # which programs make of whatever there is


def _newest(graph: Graph) -> float:
    """Return when a file of the project that a function reaches was changed last."""
    modules = {getattr(node.subject, "__module__", None) for node in graph.nodes}
    files = {getattr(sys.modules.get(name), "__file__", None) for name in modules if name and origin(name) == PROJECT}
    return max((os.stat(file).st_mtime for file in files if file), default=0.0)
