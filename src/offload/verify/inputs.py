"""The inputs that a recorded command had: found again where they lay, or taken from the store."""

from __future__ import annotations

import os

from offload.commands.planning.inputs import PlannedInput
from offload.commands.planning.stdin import Stdin
from offload.errors import OffloadError
from offload.identity.commands import STDIN_OPEN
from offload.verify.verdicts import CannotRunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from offload.commands.request import Request
    from offload.commands.running.scratch import Scratch
    from offload.identity.directories import Tree
    from offload.registry.session import Session

    Record = dict[str, Any]


class Silent(Stdin):
    """A standard input that stays open and silent, as it was when the command ran."""

    __slots__ = ("_writer",)

    def __init__(self, identity: str | None = None, source: str | None = None) -> None:
        super().__init__(identity, source)
        self._writer = -1

    def open(self, scratch: Scratch) -> int:
        """Return a descriptor from which the command reads."""
        if not self.is_open:
            return super().open(scratch)
        reader, self._writer = os.pipe()
        return reader

    def close(self) -> None:
        """Let go of the end that was held open."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1


def input_of(
    session: Session, item: Record, directory: str, request: Request, scratch: Scratch, number: int
) -> PlannedInput:
    """Return an input with the content that it had: where it was, or else from the store."""
    path, kind = item["path"], item["kind"]
    place = os.path.join(directory, path)
    aside = scratch.file(f"input{number}")
    tree = None
    if kind == "file":
        if os.path.isfile(place) and session.files.checksum(place) == item["checksum"]:
            source = place
        elif path.startswith("/"):
            raise CannotRunError(f"the input {path}, which is read in place, {_gone(place)}")
        elif session.store.has([item["checksum"]])[0]:
            session.store.extract(item["checksum"], source := aside)
        else:
            raise CannotRunError(f"the input {path} {_gone(place)}, and its content is not in the store")
    else:
        apart = [session.home.path, *(os.path.normpath(os.path.join(directory, o)) for o in request.output_paths)]
        found = _tree(session, place, item["checksum"], apart)
        if found is None and not path.startswith("/"):
            place = aside
            found = _stored_tree(session, item["checksum"], aside)
        if found is None:
            raise CannotRunError(f"the input {path} {_gone(place)}, and its content is not in the store")
        source, tree = place, found
    planned = PlannedInput(path, kind, item["executable"], "declared", source, (0, 0), tree, 0)
    planned.checksum = item["checksum"]
    planned.words = [word for word in request.argv if word and os.path.normpath(word) == path] or [path]
    return planned


def _gone(place: str) -> str:
    return "has other content now" if os.path.exists(place) else "is gone"


def _tree(session: Session, place: str, checksum: str, apart: list[str]) -> Tree | None:
    """Return a directory as it was, if it still is; what is apart is no part of it."""
    from offload.identity.checksums import checksum as checksum_of
    from offload.identity.directories import scan

    if not os.path.isdir(place):
        return None
    root = os.path.normpath(place).rstrip("/") + "/"
    try:
        tree = scan(place, [name.removeprefix(root) for name in apart if name.startswith(root)], environments=False)
        names = tree.paths()
        manifest = tree.manifest(dict(zip(names, session.files.checksums(names), strict=True)))
    except OffloadError:
        return None
    return tree if checksum_of(manifest) == checksum else None


def _stored_tree(session: Session, checksum: str, place: str) -> Tree | None:
    """Return a directory that the store has, as it has those that commands made, written to a place."""
    from offload.identity.directories import Tree, decode_manifest

    (data,) = session.store.get([checksum])
    if data is None:
        return None
    entries = decode_manifest(data)
    files = [entry for entry in entries if entry.kind == "file"]
    if not all(session.store.has([entry.value for entry in files])):
        return None
    for entry in files:
        os.makedirs(os.path.dirname(f"{place}/{entry.name}"), exist_ok=True)
        session.store.extract(entry.value, f"{place}/{entry.name}")
    return Tree(place, entries)


def stdin_of(session: Session, identity: str | None, details: Record, scratch: Scratch) -> Silent:
    """Return the standard input that a command had."""
    if identity is None or identity == STDIN_OPEN:
        return Silent(identity)
    source = details.get("stdin_file")
    if source and os.path.isfile(source) and session.files.checksum(source) == identity:
        return Silent(identity, source)
    if not session.store.has([identity])[0]:
        raise CannotRunError("the content of its standard input is not in the store")
    session.store.extract(identity, scratch.file("given"))
    return Silent(identity, scratch.file("given"))
