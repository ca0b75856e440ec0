"""What a recorded command consists of, and how it differs from the nearest other one."""

from __future__ import annotations

from offload.commands.planning.directories import changed_files, held, name_files
from offload.commands.request import quote
from offload.commands.result import fetch, load
from offload.commands.why import name_packages, nearest_to
from offload.identity.values.decode import decode
from offload.records.explanation import Difference, Explanation
from offload.records.usage import last_used

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from offload.registry.session import Session
    from offload.storage.records import Transformation

DIGITS = 12
_BY_CONTENT = ("input", "executable", "program", "software", "stdin")


def explain_recorded(session: Session, found: Transformation) -> Explanation:
    """Explain a command that was run before.

    Parameters
    ----------
    session : Session
        Where it is recorded.
    found : Transformation
        The command's.

    Returns
    -------
    Explanation
        With the recorded command that differs least.
    """
    record = decode(found.record)
    near = nearest_to(record, found.label, session, skip=found.checksum)
    if near is not None:
        name_packages(near[1], session)
        name_files(near[1], held(session, near[0].checksum), held(session, found.checksum))
    return Explanation(
        _is_hit(session, found.checksum),
        found.label,
        found.checksum,
        list(_parts(record)),
        near and near[0].checksum,
        [_difference(difference) for difference in near[1]] if near else [],
        used=last_used(session, found.checksum),
    )


def _is_hit(session: Session, transformation: str) -> bool:
    result = load(session.recall([transformation]), session.store)[0]
    return result is not None and fetch([result], session.store)[0]


def _parts(record: dict[str, Any]) -> Iterator[str]:
    yield f"command {quote(record['argv'])}"
    yield f"program {record['executable'][:DIGITS]}"
    for name, checksum in record["programs"].items():
        yield f"program {name} {checksum[:DIGITS]}"
    if record["software"] is not None:
        yield f"software {record['software'][:DIGITS]}"
    for item in record["inputs"]:
        yield f"input {item['path']} {item['checksum'][:DIGITS]}{', executable' if item['executable'] else ''}"
    if record["stdin"] is not None:
        yield f"stdin {record['stdin'][:DIGITS]}"
    for name, value in record["variables"].items():
        yield f"variable {name}={value}"
    for path in record["outputs"]:
        yield f"output {path}"
    for name, value in record["environment"].items():
        yield f"environment {name}={value}"


def _difference(difference: dict[str, object]) -> Difference:
    what, name = difference["what"], difference.get("name")
    before, after = (
        None if value is None else str(value)[:DIGITS] if what in _BY_CONTENT else repr(value)
        for value in (difference["earlier"], difference["now"])
    )
    packages = difference.get("packages")
    files = "\n".join(changed_files(difference))
    aspect = "\n".join(packages) if isinstance(packages, list) else difference.get("aspect") or files or None
    part = f"{what}" if name is None else f"{what} {name}"
    return Difference(part, before, after, None if aspect is None else str(aspect))
