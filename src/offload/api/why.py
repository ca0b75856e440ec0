"""``why`` for Python calls: the record of a call beside the nearest earlier one of the same function."""

from __future__ import annotations

from typing import Any

from offload.api.code_differences import Code, changes, code_differences
from offload.api.named.task import TaskInEnvironment
from offload.api.task import MethodTask, Task
from offload.errors import DecodeError, NotFoundError, UsageError
from offload.identity.libraries.settings import shown_setting, title_of
from offload.identity.values import replaced_classes as others
from offload.identity.values.decode import decode
from offload.notices import counted
from offload.records.explanation import Difference, Explanation
from offload.records.summary import summary
from offload.records.usage import last_used
from offload.registry.session import Session, current
from offload.storage.records import Transformation
from offload.tasks.call import explain
from offload.tasks.results import from_buffer

UNSEEN = "what is not shown here differs: more of its content, or its code and that of its class"

DEFAULT = "the default"

Summaries = dict[str, str]


def why(function: Task[..., Any] | MethodTask[..., Any], /, *args: Any, **kwargs: Any) -> Explanation:
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
        If the function is not a task, or an argument is a future that is not done.

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
    args, kwargs = _done((args, kwargs))
    if isinstance(function, TaskInEnvironment) and (told := function.why(args, kwargs)) is not None:
        return told
    session = current()
    call = function.identify(args, kwargs)
    (data,) = session.recall([call.transformation])
    record = decode(call.record)
    parts = decode(session.store.get([explain(session, function.graph())])[0] or b"\xf6")
    here = _Side(record, parts, {name: summary(value) for name, value in call.bound})
    return _explain(session, call.label, call.transformation, data, here)


def _done(arguments: Any) -> Any:
    """Return the arguments with futures replaced by their results, as a call that gets them would."""
    from offload.api.dependents import futures_in, resolved

    pending = [future for future in futures_in(arguments) if not future.done()]
    if pending:
        several = counted(len(pending), "argument is a future", "arguments are futures")
        raise UsageError(
            f"{several} without a result yet, so the call is not known",
            "wait for them first: future.result()",
        )
    return resolved(arguments)


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
    return _explain(session, found.label, found.checksum, data, _side(session, found))


class _Side:
    """What is known of one of the two runs that are compared."""

    def __init__(self, record: dict[str, Any], parts: Any, summaries: Summaries) -> None:
        self.record = record
        self.summaries = summaries
        self.code = Code(parts)

    def consists_of(self) -> list[str]:
        lines = [f"{kind} {label}" for kind, label, *_ in self.code.nodes]
        environment = self.record["environment"]
        lines += [environment["interpreter"], *environment["distributions"]]
        lines += [f"{title_of(n)} = {shown_setting(v)}" for n, v in environment.get("settings", {}).items()]
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


def _explain(session: Session, label: str, transformation: str, data: bytes | None, here: _Side) -> Explanation:
    hit = data is not None
    best: tuple[str, list[Difference]] | None = None
    for other in _candidates(session, label, transformation):
        differences = _differences(_side(session, other), here)
        if best is None or len(differences) < len(best[1]):
            best = other.checksum, differences
    nearest, differences = best if best is not None else (None, [])
    reason = _reason(session, transformation, best is not None) if data is None else _of_hit(data, transformation)
    used = last_used(session, transformation)
    return Explanation(hit, label, transformation, here.consists_of(), nearest, differences, reason, used)


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


def _of_hit(data: bytes, transformation: str) -> str:
    """Say that a result is there, and which classes in it are others than they were."""
    reason = "recorded, and its result is stored"
    with others.noted() as names:
        try:
            from_buffer(data, transformation)
        except DecodeError as exc:
            return f"{reason}; it cannot be rebuilt here: {exc.message}"
    if not names:
        return reason
    return f"{reason}; another one here than when it was recorded: {', '.join(names)}"


def _reason(session: Session, transformation: str, compared: bool) -> str:
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
    for name, old, new in changes(before.record["arguments"], after.record["arguments"]):
        detail = None
        texts = [c and (s.summaries.get(name) or c[:16]) for s, c in ((before, old), (after, new))]
        if texts[0] == texts[1] and old is not None and new is not None:
            detail = None if "item" in texts[0] or "shape" in texts[0] else UNSEEN
            texts = [f"{texts[0]} ({old[:8]})", f"{texts[1]} ({new[:8]})"]
        found.append(Difference(f"argument {name}", texts[0], texts[1], detail))
    old_environment, new_environment = before.record["environment"], after.record["environment"]
    if old_environment["interpreter"] != new_environment["interpreter"]:
        found.append(Difference("interpreter", old_environment["interpreter"], new_environment["interpreter"]))
    versions = [dict(d.split("==") for d in e["distributions"]) for e in (old_environment, new_environment)]
    found += [Difference(name, old, new) for name, old, new in changes(*versions)]
    settings = [e.get("settings", {}) for e in (old_environment, new_environment)]
    for name, old, new in changes(*settings):
        texts = [None if value is None else shown_setting(value) for value in (old, new)]
        found.append(Difference(title_of(name), texts[0] or DEFAULT, texts[1] or DEFAULT))
    if before.record["function"] != after.record["function"]:
        found += code_differences(before.code, after.code)
    return found
