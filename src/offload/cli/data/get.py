"""``offload get``."""

from __future__ import annotations

import os
import sys

import click

from offload.cli.arguments import json_option
from offload.cli.tables import write_json
from offload.errors import NotFoundError, OffloadError, UsageError
from offload.util.units import checksum_digits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from offload.identity.directories import TreeEntry
    from offload.registry.session import Session
    from offload.storage.store import Store

CHUNK = 1024 * 1024

EPILOG = """\b
Examples:
    offload get 9f86d081884c > measurements.csv
    offload get 4e07408562be -o images/
    offload get 9f86d081884c 60303ae22b99 -o both/
"""


@click.command(epilog=EPILOG)
@click.argument("checksums", nargs=-1, required=True, metavar="CHECKSUM...")
@click.option("-o", "--output", type=click.Path(allow_dash=True), metavar="PATH", help="Write there, not to stdout.")
@json_option
def get(checksums: tuple[str, ...], output: str | None, as_json: bool) -> None:
    """Print buffers of the store: exactly the bytes, checked against their checksums.

    The first digits of a CHECKSUM are enough. With -o, one buffer is written to the file PATH, and a directory that
    `offload put` or `offload run` kept is made again at PATH. Several buffers go below the directory PATH, under
    their checksums; so does one buffer if PATH is a directory already.

    What a Python call gave is stored, and printed, in an encoding (CBOR); calling it again gives the value.
    """
    from offload.registry.session import current

    if output == "-":
        output = None
    if as_json and output is None:
        raise UsageError("--json reports what was written: it goes with -o")
    session = current()
    found = [_resolved(session, text) for text in checksums]
    _check_all(session.store, found)
    if output is None:
        for checksum in found:
            _write(session.store, checksum, sys.stdout.buffer)
        return
    written = [_bring(session, checksum, output, len(found) > 1) for checksum in dict.fromkeys(found)]
    if as_json:
        write_json(written)


def _resolved(session: Session, text: str) -> str:
    digits = checksum_digits(text)
    checksum = digits if len(digits) == 64 else session.store.resolve(digits)
    if checksum is not None and session.store.has([checksum])[0]:
        return checksum
    made = session.database.transformation(digits)
    if made is not None:
        result = session.database.results([made.checksum])[0]
        what = f"its result: offload get {result.result[:16]}" if result else "its result was forgotten"
        raise NotFoundError(f"{text} is a transformation, not a buffer", f"{what}; offload history {text} tells more")
    raise NotFoundError(
        f"there is no buffer {text} in the store", "it was never put, was removed to save space, or was found corrupt"
    )


def _check_all(store: Store, checksums: Sequence[str]) -> None:
    for checksum, there in zip(checksums, store.has(checksums), strict=True):
        if not there:
            raise NotFoundError(f"there is no buffer {checksum} in the store")


def _write(store: Store, checksum: str, file: BinaryIO) -> None:
    with store.open(checksum) as reader:
        while chunk := reader.read(CHUNK):
            file.write(chunk)


def _bring(session: Session, checksum: str, output: str, below: bool) -> dict[str, object]:
    """Write a buffer to a file, or what a manifest lists to a directory, and say what was done."""
    store = session.store
    entries = _entries(store, checksum)
    if below or (entries is None and (os.path.isdir(output) or output.endswith("/"))):
        output = os.path.join(output, checksum)
        _make_directory(os.path.dirname(output))
    if entries is not None:
        return _bring_tree(session, checksum, output, entries)
    if os.path.exists(output) and not os.path.isfile(output):
        # A device or a pipe: to be written to, not to be replaced.
        try:
            with open(output, "wb") as file:
                _write(store, checksum, file)
        except OSError as error:
            raise OffloadError(f"cannot write {output}: {error.strerror}") from error
    else:
        _check_directory(output)
        store.extract(checksum, os.path.realpath(output))
    return {"checksum": checksum, "path": output, "kind": "file", "size": store.sizes([checksum])[0]}


def _bring_tree(session: Session, checksum: str, output: str, entries: list[TreeEntry]) -> dict[str, object]:
    from offload.storage.delivery import deliver_stored
    from offload.storage.output_record import OutputRecord

    files = [entry for entry in entries if entry.kind == "file"]
    for entry, size in zip(files, session.store.sizes([entry.value for entry in files]), strict=True):
        if size is None:
            raise NotFoundError(f"{entry.name} of the directory {checksum[:12]} is not in the store any more")
        entry.size = size
    if os.path.lexists(output) and not os.path.isdir(output):
        raise UsageError(f"{output} is there, and is not a directory", "name another place")
    record = OutputRecord(output, "directory", checksum, False)
    record.entries = entries
    deliver_stored([record], session.files, session.store)
    size = sum(entry.size for entry in files)
    return {"checksum": checksum, "path": output, "kind": "directory", "size": size, "files": len(files)}


def _entries(store: Store, checksum: str) -> list[TreeEntry] | None:
    """Return what a manifest lists; None for any other buffer."""
    from offload.identity.directories import decode_manifest, encode_manifest

    # Every manifest begins as the empty one does, whose last byte says how many entries there are.
    beginning = encode_manifest([])[:-1]
    with store.open(checksum) as reader:
        if reader.read(len(beginning)) != beginning:
            return None
        entries = decode_manifest(beginning + reader.read())
    for entry in entries:
        if entry.name.startswith("/") or not set(entry.name.split("/")).isdisjoint(("", ".", "..")):
            raise OffloadError(f"the directory {checksum[:12]} lists {entry.name!r}, which would lie outside of it")
    return entries


def _make_directory(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise OffloadError(f"cannot make the directory {path}: {error.strerror}") from error


def _check_directory(output: str) -> None:
    parent = os.path.dirname(os.path.abspath(output))
    if not os.path.isdir(parent):
        raise UsageError(f"there is no directory {parent}", f"mkdir -p {parent}")
