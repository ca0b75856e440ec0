"""``offload put``."""

from __future__ import annotations

import os
import stat

import click

from offload.cli.arguments import json_option
from offload.cli.tables import write_json, write_named
from offload.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from offload.registry.session import Session
    from offload.storage.delivery import FoundOutput
    from offload.storage.store import Store

CHUNK = 1024 * 1024

EPILOG = """\b
Examples:
    offload put measurements.csv
    offload put images/ | cut -d' ' -f1
    zcat big.gz | offload put -
"""


@click.command(epilog=EPILOG)
@click.argument("names", nargs=-1, required=True, type=click.Path(allow_dash=True), metavar="FILE...")
@json_option
def put(names: tuple[str, ...], as_json: bool) -> None:
    """Keep files in the store, and print their checksums as sha256sum does.

    A FILE of `-` is standard input. A directory is kept as its files and a manifest, and the printed checksum is the
    manifest's: `offload get CHECKSUM -o DIR` makes the directory again.
    """
    from offload.registry.session import current

    if names.count("-") > 1:
        raise UsageError("standard input can be kept only once")
    session = current()
    found = {name: _look(name) for name in dict.fromkeys(names) if name != "-"}
    checksums = _keep(session, found)
    if "-" in names:
        checksums["-"] = _keep_stdin(session.store)
    if as_json:
        sizes = session.store.sizes([checksums[name] for name in names])
        write_json(
            [_document(name, checksums[name], found.get(name), size) for name, size in zip(names, sizes, strict=True)]
        )
        return
    for name in names:
        write_named(f"{checksums[name]}  ", name)


def _look(name: str) -> FoundOutput | None:
    """Return what lies at a path; None for a pipe or a device, which can only be read through."""
    from offload.identity.directories import scan
    from offload.storage.delivery import FoundOutput
    from offload.storage.output_record import OutputRecord

    try:
        mode = os.stat(name).st_mode
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}", "name files or directories, or - for stdin") from None
    if stat.S_ISDIR(mode):
        root = name.rstrip("/") or "/"
        return FoundOutput(OutputRecord(name, "directory", "", False), root, scan(root))
    return FoundOutput(OutputRecord(name, "file", "", False), name, None) if stat.S_ISREG(mode) else None


def _keep(session: Session, found: dict[str, FoundOutput | None]) -> dict[str, str]:
    """Put what was found into the store, and return the checksums by name."""
    from offload.commands.running.outputs import store_outputs

    regular = [item for item in found.values() if item is not None]
    try:
        store_outputs(regular, session.store)
        checksums = {item.record.path: item.record.checksum for item in regular}
        for name, item in found.items():
            if item is None:
                with open(name, "rb") as file:
                    checksums[name] = session.store.put_stream(_chunks(file))
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from error
    return checksums


def _keep_stdin(store: Store) -> str:
    with open(0, "rb", closefd=False) as file:
        return store.put_stream(_chunks(file))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _document(name: str, checksum: str, found: FoundOutput | None, size: int | None) -> dict[str, object]:
    if found is None or found.tree is None:
        return {"name": name, "checksum": checksum, "kind": "file", "size": size}
    return {
        "name": name,
        "checksum": checksum,
        "kind": "directory",
        "size": found.tree.size,
        "files": len(found.files()),
    }
