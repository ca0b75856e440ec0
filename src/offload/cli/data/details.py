"""All that is recorded of one transformation: ``offload history CHECKSUM``."""

from __future__ import annotations

from offload.cli.tables import write_line, write_pairs, write_table
from offload.identity.values.decode import decode
from offload.records.usage import used_by
from offload.util.durations import duration
from offload.util.units import moment_text, size_text, used_texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from offload.registry.session import Session
    from offload.storage.records import Run, Transformation

    Document = dict[str, Any]
    Pairs = Iterator[tuple[str, str]]


def document_of(session: Session, found: Transformation, runs: Sequence[Run]) -> Document:
    """Return all that is recorded of a transformation, as plain values."""
    return {
        "transformation": found.checksum,
        "kind": found.kind,
        "label": found.label,
        "first_seen": found.first_seen,
        "record": decode(found.record),
        "result": _result(session, found),
        "runs": [_run(run) for run in runs],
    }


def _run(run: Run) -> Document:
    return {**run_document(run), "details": decode(run.details) if run.details else {}}


def _result(session: Session, found: Transformation) -> Document | None:
    """Return the result that a transformation has, its parts, and whether all of it is still stored."""
    (result,) = session.database.results([found.checksum])
    if result is None:
        return None
    size = session.store.sizes([result.result])[0]
    document = {
        "checksum": result.result,
        "status": result.status,
        "recorded": result.recorded,
        "size": size,
        "stored": size is not None,
    }
    if found.kind == "command" and size is not None:
        from offload.commands.result import decode_record, load

        (data,) = session.store.get([result.result])
        document["stored"] = load([data], session.store)[0] is not None
        if data is not None:
            record = decode_record(data)
            sizes = session.store.sizes([record.stdout, record.stderr])
            document["stdout"] = {"checksum": record.stdout, "size": sizes[0]}
            document["stderr"] = {"checksum": record.stderr, "size": sizes[1]}
            document["outputs"] = [
                {"path": item.path, "kind": item.kind, "checksum": item.checksum, "executable": item.executable}
                for item in record.outputs
            ]
    return document


def write_details(document: Document) -> None:
    """Write what `document_of` gave, for people."""
    details = document["runs"][0]["details"] if document["runs"] else {}
    consists_of = _command if document["kind"] == "command" else _call
    write_pairs(
        [
            ("transformation", document["transformation"]),
            ("kind", document["kind"]),
            ("label", document["label"]),
            ("first seen", moment_text(document["first_seen"])),
            *consists_of(document["record"], details),
            *_parts(document["result"]),
        ]
    )
    if document["runs"]:
        write_line("")
        what = ("OUTCOME", "RESULT", "HOST", "USER", "PYTHON", "OFFLOAD", "DIRECTORY")
        write_table(
            ("STARTED", "TOOK", "CPU", "MEMORY", *what), [_row(run, run["details"]) for run in document["runs"]]
        )


def _row(run: Document, details: Document) -> tuple[str, ...]:
    return (
        moment_text(run["started"]),
        duration(run["seconds"]),
        *used_texts(run),
        run["outcome"] + (", forgotten" if run["forgotten"] else ""),
        run["result"][:12],
        *(str(details.get(name, "")) for name in ("host", "user", "python", "offload", "directory")),
    )


def _call(record: Document, details: Document) -> Pairs:
    yield "function", record["function"]
    known = {name: (kind, text) for name, _, kind, text in details.get("arguments", ())}
    for name, checksum in record["arguments"].items():
        kind, text = known.get(name, ("", ""))
        yield f"argument {name}", "  ".join(part for part in (text, kind, checksum[:12]) if part)
    yield "interpreter", record["environment"]["interpreter"]
    for distribution in record["environment"]["distributions"]:
        yield "distribution", distribution


def _command(record: Document, details: Document) -> Pairs:
    sizes = {item["path"]: item["size"] for item in details.get("inputs", ())}
    yield "program", "  ".join(part for part in (details.get("executable"), record["executable"][:12]) if part)
    for name, checksum in record["programs"].items():
        yield "program", f"{name}  {checksum[:12]}"
    if record["software"] is not None:
        yield "software", record["software"][:12]
    for item in record["inputs"]:
        size = f", {size_text(sizes[item['path']])}" if sizes.get(item["path"]) is not None else ""
        executable = ", executable" if item["executable"] else ""
        yield "input", f"{item['path']}  {item['checksum'][:12]}  {item['kind']}{size}{executable}"
    yield "stdin", record["stdin"] or "none"
    for name, value in record["variables"].items():
        yield "variable", f"{name}={value}"
    for path in record["outputs"]:
        yield "output", path


def _parts(result: Document | None) -> Pairs:
    if result is None:
        yield "result", "none: it was forgotten"
        return
    stored = "stored" if result["stored"] else "not stored any more: the next run computes again"
    if result["status"] == "scratch":
        stored = "not kept, as asked for (scratch)"
    yield "result", f"{result['checksum']}  {moment_text(result['recorded'])}, {stored}"
    for name in ("stdout", "stderr"):
        if name in result:
            size = result[name]["size"]
            yield f"  {name}", f"{result[name]['checksum']}  {'gone' if size is None else size_text(size)}"
    for item in result.get("outputs", ()):
        yield f"  {item['path']}", f"{item['checksum']}  {item['kind']}"


def run_document(run: Run) -> dict[str, object]:
    """Return a run, with what it used of its details, as plain values."""
    return {**{name: getattr(run, name) for name in run.__slots__ if name != "details"}, **used_by(run)}
