"""Which results were made from which: a tree of calls and commands, found by the checksums that they share.

A value that one call returned and another got has the same checksum in both, and so has a file that one command wrote
and the next one read. So lineage needs no bookkeeping of its own: it is read from the records of the runs. Equal values
are one value to it: a plain number that several calls return was made by each of them.
"""

from __future__ import annotations

import os

from offload.identity.values.decode import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from offload.registry.session import Session
    from offload.storage.records import Transformation

MOST = 5
"""Calls and commands listed for one buffer; of more, only the number is told."""

MOST_LOOKED_AT = 200
"""Commands that are asked whether it is they that made a file of this name."""

DEEPEST = 100
"""Steps from the root; nobody reads deeper trees, and few programs read JSON that is nested much deeper."""


class Buffer:
    """A value or file in the tree.

    Attributes
    ----------
    name : str
        What the step called it: a parameter, a path, ``"result"``, ``"stdout"``.
    checksum : str
        Its content.
    text : str
        It in short, where it is known.
    steps : list of Step
        What made it, or what was made from it.
    more : int
        So many steps are left out.
    repeated : bool
        It stands in the tree elsewhere, with its steps.
    cut : bool
        It has steps that the tree does not show, for it is as deep as was asked for.
    path : str
        Where it lies now, where it is a file or directory of the user's: what made it under that name is shown first.
    """

    __slots__ = ("checksum", "cut", "more", "name", "path", "repeated", "steps", "text")

    def __init__(self, name: str, checksum: str, text: str = "", path: str = "") -> None:
        self.name = name
        self.checksum = checksum
        self.text = text
        self.steps: list[Step] = []
        self.more = 0
        self.repeated = False
        self.cut = False
        self.path = path

    def as_dict(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return {
            "name": self.name,
            "checksum": self.checksum,
            "text": self.text,
            "steps": [step.as_dict() for step in self.steps],
            "more": self.more,
            "repeated": self.repeated,
            "cut": self.cut,
        }


class Step:
    """A call or command in the tree.

    Attributes
    ----------
    transformation : Transformation
        Its record.
    started : float
        When it ran last.
    buffers : list of Buffer
        What it used (up), or what it made (down).
    named : bool
        Whether it is this that made the file under the name that was asked about; others made the same content.
    """

    __slots__ = ("buffers", "named", "started", "transformation")

    def __init__(self, transformation: Transformation, started: float, buffers: list[Buffer]) -> None:
        self.transformation = transformation
        self.started = started
        self.buffers = buffers
        self.named = False

    def as_dict(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return {
            "transformation": self.transformation.checksum,
            "kind": self.transformation.kind,
            "label": self.transformation.label,
            "started": self.started,
            "named": self.named,
            "buffers": [buffer.as_dict() for buffer in self.buffers],
        }


def lineage(session: Session, root: Buffer, down: bool = False, depth: int = DEEPEST) -> Buffer:
    """Fill in what made a buffer, and what that was made from; or what was made from it.

    Parameters
    ----------
    session : Session
        Where the runs are recorded.
    root : Buffer
        Where to begin; its steps are filled in.
    down : bool
        What was made from it, instead of what it was made from.
    depth : int
        So many steps, and no further.
    """
    seen = {root.checksum: root}
    again: list[Buffer] = []
    level: list[tuple[Buffer, tuple[str, ...]]] = [(root, ())]  # with the steps that lead to it
    while level:
        following: list[tuple[Buffer, tuple[str, ...]]] = []
        answers = _steps(session, [buffer.checksum for buffer, _ in level], down)
        for (buffer, path), answer in zip(level, answers, strict=True):
            found = [checksum for checksum in answer if checksum not in path]  # a copy does not explain its original
            if len(path) == depth:
                buffer.cut = bool(found)
                continue
            buffer.more = max(0, len(found) - MOST)
            named = _makers_of_name(session, found, buffer.path) if buffer.path and not down else set()
            for checksum in sorted(found, key=lambda one: one not in named)[:MOST]:
                step = _step(session, checksum, down)
                step.named = checksum in named
                buffer.steps.append(step)
                for item in step.buffers:
                    # A buffer is followed once: some calls return what they were given.
                    if seen.setdefault(item.checksum, item) is item:
                        following.append((item, (*path, checksum)))
                    else:
                        again.append(item)
        level = following
    for item in again:
        item.repeated = bool(seen[item.checksum].steps)
    return root


def step_of(session: Session, transformation: str, down: bool) -> Buffer | None:
    """Return the result of a transformation as the root of a tree; None where it has none."""
    (result,) = session.database.results([transformation])
    if result is None:
        return None
    root = Buffer("result", result.result)
    if not down:
        return root
    made = [buffer for buffer in _step(session, transformation, True).buffers if buffer.name != "stdout"]
    return made[0] if made else root


def _steps(session: Session, checksums: Sequence[str], down: bool) -> list[list[str]]:
    if down:
        return session.database.users(checksums)
    whole, parts = session.database.producers(checksums), session.database.makers(checksums)
    return [list(dict.fromkeys([*reversed(one), *other])) for one, other in zip(whole, parts, strict=True)]


def _makers_of_name(session: Session, transformations: Sequence[str], path: str) -> set[str]:
    """Return which of the commands made a file under this very name, in the directory where it lies."""
    found = set()
    for checksum in transformations[:MOST_LOOKED_AT]:
        runs = session.database.runs(transformation=checksum, limit=1)
        details = _decoded(runs[0].details) if runs else {}
        names = (os.path.join(details.get("directory", ""), name) for name, _ in details.get("made", ()))
        if os.path.realpath(path) in map(os.path.realpath, names):
            found.add(checksum)
    return found


def _step(session: Session, checksum: str, down: bool) -> Step:
    transformation = session.database.transformation(checksum)
    assert transformation is not None
    runs = session.database.runs(transformation=checksum, limit=1)
    details = _decoded(runs[0].details) if runs else {}
    started = runs[0].started if runs else transformation.first_seen
    if down:
        (result,) = session.database.results([checksum])
        buffers = _made(transformation, details, None if result is None else result.result)
    else:
        buffers = _used(transformation, details)
    return Step(transformation, started, buffers)


def _used(transformation: Transformation, details: dict[str, Any]) -> list[Buffer]:
    record = _decoded(transformation.record)
    if transformation.kind == "command":
        found = [Buffer(item["path"], item["checksum"]) for item in record.get("inputs", ())]
        for item in details.get("inputs", ()):
            found += [Buffer(f"{item['path']}/{name}", checksum) for name, checksum in item.get("holds", ())]
        stdin = record.get("stdin")
        return found + ([Buffer("stdin", stdin)] if stdin not in (None, "open") else [])
    files = details.get("files", ())
    known = {name: (kind, text) for name, _, kind, text in details.get("arguments", ())}
    found = []
    for name, checksum in record.get("arguments", {}).items():
        kind, text = known.get(name, ("", ""))
        if not (files and kind in ("File", "Directory")):  # these stand below by their content
            found.append(Buffer(name, checksum, text))
    return found + [Buffer(path.rpartition("/")[2], checksum) for path, checksum in files]


def _made(transformation: Transformation, details: dict[str, Any], result: str | None) -> list[Buffer]:
    if transformation.kind == "command":
        return [Buffer(name, checksum) for name, checksum in details.get("made", ())]
    return [] if result is None else [Buffer("result", result)]


def _decoded(data: bytes) -> dict[str, Any]:
    from offload.errors import DecodeError

    try:
        value = decode(data) if data else {}
    except DecodeError:  # written by something else than offload
        return {}
    return value if isinstance(value, dict) else {}
