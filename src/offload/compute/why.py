"""``why`` for Python calls: the record of a call beside the nearest earlier one of the same function."""

from __future__ import annotations

import difflib
from typing import Any

from offload.compute.calls import explain
from offload.compute.explanation import Difference, Explanation
from offload.compute.session import Session, current
from offload.compute.shown import summary
from offload.compute.tasks import MethodTask, Task
from offload.errors import NotFoundError, UsageError
from offload.identity.decoding import decode
from offload.identity.parts import DECLARED, named, short
from offload.storage.rows import Transformation

Summaries = dict[str, str]
SourceNode = tuple[str, str, Any, str | None, dict[str, str]]


def why(function: Task | MethodTask, /, *args: Any, **kwargs: Any) -> Explanation:
    """Tell whether a call would be recalled, and if not, what differs from the nearest earlier one.

    Nothing is computed.

    Parameters
    ----------
    function : Task
        A function decorated with ``@offload.task``.
    *args, **kwargs
        The arguments of the call.

    Returns
    -------
    Explanation
        Print it, or look at its ``hit`` and ``differences``.

    Raises
    ------
    UsageError
        If the function is not a task.

    Examples
    --------
    >>> import offload
    >>> @offload.task
    ... def half(x):
    ...     return x / 2
    >>> offload.why(half, 3).hit
    False
    >>> half(3)
    1.5
    >>> offload.why(half, 3).hit
    True
    """
    if isinstance(function, MethodTask):
        return why(function.task, function.__self__, *args, **kwargs)
    if not isinstance(function, Task):
        raise UsageError("offload.why takes a function decorated with @offload.task, and then its arguments")
    session = current()
    call = function.identify(args, kwargs)
    (data,) = session.recall([call.transformation])
    record = decode(call.record)
    parts = decode(session.store.get([explain(session, function.graph())])[0] or b"\xf6")
    here = _Side(record, parts, {name: summary(value) for name, value in call.bound})
    return _explain(session, call.label, call.transformation, data is not None, here)


def explain_transformation(session: Session, checksum: str) -> Explanation:
    """Explain a recorded Python call.

    Raises
    ------
    NotFoundError
        If there is no such transformation.
    UsageError
        If it is a command's.
    """
    found = session.database.transformation(checksum)
    if found is None:
        raise NotFoundError(f"no transformation {checksum} is on record", "offload history lists them")
    if found.kind != "python":
        raise UsageError(f"{checksum} is a {found.kind}, not a Python call")
    (data,) = session.recall([found.checksum])
    return _explain(session, found.label, found.checksum, data is not None, _side(session, found))


class _Side:
    """What is known of one of the two runs that are compared."""

    def __init__(self, record: dict[str, Any], parts: Any, summaries: Summaries) -> None:
        self.record = record
        self.summaries = summaries
        self.nodes: list[SourceNode] = []
        nodes = parts["nodes"] if parts else []
        labels = [node[1] for node in nodes]
        for kind, label, content, source, *shown in nodes:
            self.nodes.append((kind, label, named(decode(content)[1], labels), source, shown[0] if shown else {}))

    def consists_of(self) -> list[str]:
        lines = [f"{kind} {label}" for kind, label, *_ in self.nodes]
        environment = self.record["environment"]
        lines += [environment["interpreter"], *environment["distributions"]]
        return lines + [f"argument {name} = {self.summaries.get(name) or c[:16]}" for name, c in self._arguments()]

    def _arguments(self) -> list[tuple[str, str]]:
        return list(self.record["arguments"].items())


def _side(session: Session, found: Transformation) -> _Side:
    parts, summaries = None, {}
    runs = session.database.runs(transformation=found.checksum, limit=1)
    if runs:
        details = decode(runs[0].details)
        (buffer,) = session.store.get([details["parts"]])
        parts = decode(buffer) if buffer is not None else None
        summaries = {name: text for name, _, _, text in details["arguments"]}
    return _Side(decode(found.record), parts, summaries)


def _explain(session: Session, label: str, transformation: str, hit: bool, here: _Side) -> Explanation:
    best: tuple[str, list[Difference]] | None = None
    for other in _candidates(session, label, transformation):
        differences = _differences(_side(session, other), here)
        if best is None or len(differences) < len(best[1]):
            best = other.checksum, differences
    nearest, differences = best if best is not None else (None, [])
    reason = _reason(session, transformation, hit, best is not None)
    return Explanation(hit, label, transformation, here.consists_of(), nearest, differences, reason)


def _candidates(session: Session, label: str, but: str) -> list[Transformation]:
    """Return recent calls of the same function; a script's also go by the name under which it is imported."""
    found = [other for other in session.database.nearest("python", label) if other.checksum != but]
    if found:
        return found
    name = label.partition(":")[2].replace("*", "?")
    runs = session.database.runs("python", pattern=f"*:{name}", limit=20)
    checksums = dict.fromkeys(run.transformation for run in runs if run.transformation != but)
    others = [session.database.transformation(checksum) for checksum in checksums]
    return [other for other in others if other is not None]


def _reason(session: Session, transformation: str, hit: bool, compared: bool) -> str:
    if hit:
        return "recorded, and its result is stored"
    runs = session.database.runs(transformation=transformation, limit=1)
    if runs:
        if runs[0].forgotten:
            return "it was computed before, and forgotten"
        if runs[0].status != "complete":
            return "it was computed before, and its result was not kept"
        return "it was computed before, but its result is not stored any more"
    return "it differs from every recorded call" if compared else "no call of this function is recorded"


def _differences(before: _Side, after: _Side) -> list[Difference]:
    found = []
    for name, old, new in _changes(before.record["arguments"], after.record["arguments"]):
        texts = [c and (s.summaries.get(name) or c[:16]) for s, c in ((before, old), (after, new))]
        if texts[0] == texts[1] and old is not None and new is not None:
            texts = [f"{texts[0]} ({old[:8]})", f"{texts[1]} ({new[:8]})"]
        found.append(Difference(f"argument {name}", *texts))
    old_environment, new_environment = before.record["environment"], after.record["environment"]
    if old_environment["interpreter"] != new_environment["interpreter"]:
        found.append(Difference("interpreter", old_environment["interpreter"], new_environment["interpreter"]))
    versions = [dict(d.split("==") for d in e["distributions"]) for e in (old_environment, new_environment)]
    found += [Difference(name, old, new) for name, old, new in _changes(*versions)]
    if before.record["function"] != after.record["function"]:
        found += _code_differences(before, after)
    return found


def _changes(before: dict[str, str], after: dict[str, str]) -> list[tuple[str, str | None, str | None]]:
    names = [*before, *(name for name in after if name not in before)]
    return [(n, before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)]


def _code_differences(before: _Side, after: _Side) -> list[Difference]:
    if not before.nodes or not after.nodes:
        return [Difference("code", "not kept", "changed")]
    old, new = ({(node[1], i): node for node, i in _counted(side.nodes)} for side in (before, after))
    found = []
    for key in [*old, *(k for k in new if k not in old)]:
        if key not in old:
            found.append(Difference(f"{new[key][0]} {key[0]}", None, "now reached"))
        elif key not in new:
            found.append(Difference(f"{old[key][0]} {key[0]}", "reached", None))
        elif old[key][2] != new[key][2]:
            found += _node_differences(old[key], new[key])
    return found


def _counted(nodes: list[SourceNode]) -> list[tuple[SourceNode, int]]:
    seen: dict[str, int] = {}
    counted = []
    for node in nodes:
        seen[node[1]] = seen.get(node[1], -1) + 1
        counted.append((node, seen[node[1]]))
    return counted


def _node_differences(before: SourceNode, after: SourceNode) -> list[Difference]:
    kind, label, old, old_source, old_shown = before
    _, _, new, new_source, new_shown = after
    if kind in DECLARED:
        return [Difference(f"{kind} {label}", *(short(side[0]) for side in (old, new)))]
    if kind == "function":
        names = [
            Difference(f"{label} reads {name}", *_both(_shown(a, old_shown.get(name)), _shown(b, new_shown.get(name))))
            for name, a, b in _changes(*({name: what for _, name, what in side[3]} for side in (old, new)))
        ]
        if old[0] == new[0] and old[1:3] == new[1:3] and old[4:] == new[4:]:
            return names
    diff = difflib.unified_diff(
        (old_source or "").splitlines(), (new_source or "").splitlines(), "before", "now", lineterm="", n=2
    )
    return [Difference(f"code of {label}", "was other code", "this code", "\n".join(list(diff)[2:]) or None)]


def _shown(what: Any, text: str | None) -> tuple[str, str] | None:
    """Return a short text for what a name stood for, and one that tells it from its like."""
    if what is None:
        return None
    if what[0] == "value" and len(what) == 3:
        if type(what[2]) is str and len(what[2]) == 64:
            return text or what[1], f"{text or what[1]} ({what[2][:8]})"
        return repr(what[2]), repr(what[2])
    words = " ".join(str(item) for item in what if isinstance(item, str))
    return words, words


def _both(before: tuple[str, str] | None, after: tuple[str, str] | None) -> tuple[str | None, str | None]:
    longer = before is not None and after is not None and before[0] == after[0]
    return before and before[longer], after and after[longer]
