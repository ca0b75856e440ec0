"""Recording what calls have returned."""

from __future__ import annotations

import warnings

from offload.errors import EncodeError, NotRecordedWarning, OffloadError, StorageError
from offload.notices import users_level
from offload.records.usage import used
from offload.tasks.call import where

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.registry.session import Session
    from offload.tasks.call import Call
    from offload.transport.outcome import Outcome

_IF_REMEMBERED = (
    "; if it only remembers what was computed, so that results do not depend on it, use functools.lru_cache for it, "
    'or let it not count: @offload.task(ignore=["{}"])'
)


def _named(label: str, changed: str) -> str:
    """Return how `ignore` names what has changed, as ``units.ureg`` for ``units:convert: ureg.meter: Cache.known``."""
    where, *names = changed.split(": ")
    name = (names[0] if names else where).partition(".")[0]
    if not name.isidentifier():
        return "its name"
    module = where.partition(":")[0]
    return f"{module}.{name}" if names and ":" in where and module != label.partition(":")[0] else name


def _all_stood_still(call: Call, outcome: Outcome) -> bool:
    """Tell whether the call computed from what it was identified by; if not, say what has changed."""
    hint = ""
    try:
        changed = outcome.changed_file or outcome.changed
        if changed is None:
            changed = call.changed_file()
        elif outcome.changed_file is None:
            hint = _IF_REMEMBERED.format(_named(call.label, changed))
    except OffloadError as exc:  # it is gone, or cannot be read any more
        changed = exc.message
    if changed is not None:
        outcome.unrecorded = f"{call.label}: not recorded: {changed} changed while it was used{hint}"
        warnings.warn(NotRecordedWarning(outcome.unrecorded), stacklevel=users_level())
    return changed is None


def _is_recorded(call: Call, outcome: Outcome) -> bool:
    if outcome.difference is not None:
        outcome.unrecorded = f"{call.label}: not recorded: {outcome.difference}"
        warnings.warn(NotRecordedWarning(outcome.unrecorded), stacklevel=users_level())
        return False
    # What has been seen besides is told where the result is given back.
    return not (outcome.effects and outcome.effects.undeclared) and _all_stood_still(call, outcome)


def record(session: Session, explain: Callable[[Session], str], done: list[tuple[Call, Outcome]]) -> None:
    """Store and record the results of calls. What cannot be stored is said once, and the results are given back.

    Parameters
    ----------
    session : Session
        Where.
    explain : callable
        Stores what ``why`` shows of the function, and returns the checksum of that.
    done : list of (Call, Outcome)
        Those that failed, or did what they had not declared, are passed over.
    """
    done = [(call, outcome) for call, outcome in done if outcome.error is None and _is_recorded(call, outcome)]
    if not done:
        return
    try:
        small = [outcome.buffer for call, outcome in done if outcome.buffer is not None and not call.scratch]
        session.store.put(small)
        parts, place = explain(session), where()
        entries = [call.entry(o.checksum or "", o.started, o.seconds, {**place, **used(o)}, parts) for call, o in done]
        session.record(entries)
    except (StorageError, EncodeError) as exc:
        text = f"results are returned but not recorded: {exc}"
        for _, outcome in done:
            outcome.unrecorded = text
        warnings.warn(NotRecordedWarning(text), stacklevel=2)
