"""Why a command is recalled, or not: how it differs from the nearest earlier run."""

from __future__ import annotations

from offload.commands.planning.directories import changed_files, held, listed, name_files
from offload.commands.result import fetch, load
from offload.identity.values.decode import decode
from offload.records.usage import last_used

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from offload.commands.planning.plan import Plan
    from offload.registry.session import Session
    from offload.storage.database import Transformation

    Record = dict[str, object]
    Difference = dict[str, object]

CANDIDATES = 50
MOST = 12
"""Packages and files that are named in a line; JSON has all."""


def explain(plan: Plan, session: Session) -> dict[str, object]:
    """Return whether a planned command would be recalled, and if not, why not.

    Returns
    -------
    dict
        ``transformation``, ``recalled``, ``reason``; for a hit ``used`` (see :func:`offload.records.usage.last_used`);
        for a miss with an earlier run of the same command also ``nearest`` (its transformation, command and time) and
        ``differences`` (see `compare`).
    """
    transformation = plan.transformation
    answer: dict[str, object] = {"command": plan.request.argv, "transformation": transformation, "recalled": False}
    if session.database.lookup([transformation])[0] is not None:
        record = load(session.recall([transformation]), session.store)[0]
        if record is not None and fetch([record], session.store)[0]:
            used = last_used(session, transformation)
            return {**answer, "recalled": True, "reason": "recorded, and all of it is stored", "used": used}
        return {**answer, "reason": "it is recorded, but some of what it gave is not stored any more"}
    runs = session.database.runs(transformation=transformation, limit=1)
    if runs:
        forgotten = runs[0].forgotten
        return {**answer, "reason": "it was run before, " + ("and forgotten" if forgotten else "but has no result")}
    nearest = nearest_to(plan.record, plan.request.label, session)
    if nearest is None:
        return {**answer, "reason": "no earlier run of this command is recorded"}
    earlier, differences = nearest
    name_packages(differences, session, plan.installed)
    now = {item.path: item.tree.entries for item in plan.inputs if item.tree is not None}
    name_files(differences, held(session, earlier.checksum), {path: listed(now[path]) for path in now})
    return {
        **answer,
        "reason": "it differs from every recorded run",
        "nearest": {"transformation": earlier.checksum, "command": earlier.label, "time": earlier.first_seen},
        "differences": differences,
    }


def nearest_to(
    record: Record, label: str, session: Session, skip: str = ""
) -> tuple[Transformation, list[Difference]] | None:
    """Return the recorded command that differs least from a record, and how; `skip` is a checksum to pass over."""
    program = _strings(record["argv"])[0]
    found = [item for item in session.database.nearest("command", label, CANDIDATES) if item.checksum != skip]
    if not found:
        name = program.rpartition("/")[2]
        runs = session.database.runs(kind="command", text=name, limit=CANDIDATES)
        checksums = dict.fromkeys(run.transformation for run in runs if run.transformation != skip)
        candidates = [session.database.transformation(checksum) for checksum in checksums]
        found = [item for item in candidates if item is not None]
    best = None
    for item in found:
        earlier = decode(item.record)
        if not isinstance(earlier, dict) or earlier["argv"][:1] != [program]:
            continue
        differences = compare(earlier, record)
        if best is None or len(differences) < len(best[1]):
            best = (item, differences)
    return best


def compare(earlier: Record, now: Record) -> list[Difference]:
    """Return how two records of commands differ.

    Returns
    -------
    list of dict
        Each has ``what`` (argument, input, variable, output, stdin, executable, program, software,
        environment, version), most have
        ``name``, and ``earlier`` and ``now``, None where there is none.
    """
    return [
        *_arguments(earlier["argv"], now["argv"]),
        *_inputs(earlier["inputs"], now["inputs"]),
        *_mapping("variable", earlier["variables"], now["variables"]),
        *_outputs(_strings(earlier["outputs"]), _strings(now["outputs"])),
        *_mapping("environment", earlier["environment"], now["environment"]),
        *_mapping("program", earlier["programs"], now["programs"]),
        *(
            {"what": what, "earlier": earlier[what], "now": now[what]}
            for what in ("stdin", "executable", "software", "version")
            if earlier[what] != now[what]
        ),
        *_machine(earlier.get("there"), now.get("there")),
    ]


def _machine(earlier: object, now: object) -> list[Difference]:
    """Return whether the programs of another machine are meant, or of one that was prepared in another way."""
    if earlier == now:
        return []
    import json

    texts = [json.dumps(one) if one is not None else "this one" for one in (earlier, now)]
    return [{"what": "machine of its programs", "earlier": texts[0], "now": texts[1]}]


def name_packages(differences: list[Difference], session: Session, now: bytes | None = None) -> None:
    """Add to a difference of software which packages it is about, where that is known.

    Parameters
    ----------
    differences : list of dict
        From `compare`.
    session : Session
        Keeps what was installed.
    now : bytes, optional
        What is installed; by default that is kept, too.
    """
    for difference in differences:
        if difference["what"] == "software":
            from offload.commands.planning.program_software import package_changes

            names = [str(difference[side]) for side in ("earlier", "now") if difference[side] is not None]
            known = dict(zip(names, session.store.get(names), strict=True))
            before = known.get(str(difference["earlier"]), b"")
            after = known.get(str(difference["now"]), b"") if now is None else now
            if before is not None and after is not None:
                difference["packages"] = package_changes(before, after)


def describe(difference: Difference) -> str:
    """Return a difference in words.

    Examples
    --------
    >>> describe({"what": "variable", "name": "SEED", "earlier": "1", "now": "2"})
    "the variable SEED was '1', is '2'"
    """
    what, name = difference["what"], difference.get("name")
    earlier, now = difference["earlier"], difference["now"]
    if what == "software":
        packages = difference.get("packages")
        listed = few(packages) if isinstance(packages, list) else ""
        return "other packages are installed beside the program" + (f": {listed}" if listed else "")
    subject = f"argument {name}" if what == "argument" else f"the {what} {name}" if name is not None else f"the {what}"
    if what in ("input", "executable", "program", "stdin") and earlier is not None and now is not None:
        aspect = difference.get("aspect") or "has other content"
        files = few(changed_files(difference))
        return subject + (": " if "aspect" in difference else " ") + f"{aspect}" + (f": {files}" if files else "")
    if earlier is None:
        return f"{subject} is new" + (f": {now!r}" if what in ("argument", "variable") else "")
    if now is None:
        return f"{subject} is gone" + (f"; it was {earlier!r}" if what in ("argument", "variable") else "")
    return f"{subject} was {earlier!r}, is {now!r}"


def few(texts: list[str]) -> str:
    """Return texts in one line, the first ones of many."""
    more = len(texts) - MOST
    return ", ".join(texts[:MOST]) + (f" and {more} more" if more > 0 else "")


def _arguments(earlier: object, now: object) -> Iterator[Difference]:
    from difflib import SequenceMatcher

    before, after = _strings(earlier), _strings(now)
    for kind, first, last, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        for offset in range(max(last - first, end - start)):
            yield {
                "what": "argument",
                "name": (start if start + offset < end or kind != "delete" else first) + offset,
                "earlier": before[first + offset] if first + offset < last else None,
                "now": after[start + offset] if start + offset < end else None,
            }


def _inputs(earlier: object, now: object) -> Iterator[Difference]:
    before, after = _by_path(earlier), _by_path(now)
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        difference = {
            "what": "input",
            "name": path,
            "earlier": old and old["checksum"],
            "now": new and new["checksum"],
        }
        if old and new and old["kind"] != new["kind"]:
            difference["aspect"] = f"it was a {old['kind']}, is a {new['kind']}"
        elif old and new and old["checksum"] == new["checksum"]:
            difference["aspect"] = "its executable bit changed"
        yield difference


def _outputs(earlier: list[str], now: list[str]) -> Iterator[Difference]:
    return _mapping("output", dict.fromkeys(earlier, "declared"), dict.fromkeys(now, "declared"))


def _mapping(what: str, earlier: object, now: object) -> Iterator[Difference]:
    assert isinstance(earlier, dict)
    assert isinstance(now, dict)
    for name in sorted(earlier.keys() | now.keys()):
        if earlier.get(name) != now.get(name):
            yield {"what": what, "name": name, "earlier": earlier.get(name), "now": now.get(name)}


def _by_path(inputs: object) -> dict[str, Record]:
    assert isinstance(inputs, list)
    return {item["path"]: item for item in inputs}


def _strings(value: object) -> list[str]:
    assert isinstance(value, list)
    return value
