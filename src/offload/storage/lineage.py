"""What a run says about other runs: which buffers it used, and which it made, by their checksums.

A value that a call returned, and that another call got, has one checksum in both; so has a file that one command wrote,
and that the next one read. That is all that lineage rests on.
"""

from __future__ import annotations

from offload.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MADE, USED = "made", "used"


def links(kind: str, record: bytes, details: bytes) -> set[tuple[str, str]]:
    """Return what a run used and made, besides its result as a whole.

    Parameters
    ----------
    kind, record, details
        As in :class:`offload.storage.records.Entry`.

    Returns
    -------
    set of (str, str)
        `MADE` or `USED`, and the checksum of a buffer; empty for a record that tells nothing.
    """
    from offload.identity.values.decode import decode

    try:
        what, more = decode(record), decode(details) if details else {}
    except DecodeError:  # written by something else than offload
        return set()
    if not isinstance(what, dict) or not isinstance(more, dict):
        return set()
    used = _call(what, more) if kind == "python" else _command(what, more)
    found = {(USED, checksum) for checksum in used if isinstance(checksum, str)}
    return found | {(MADE, checksum) for _, checksum in more.get("made", ())}


def made(details: bytes) -> list[str]:
    """Return what a run of a command made, as its details tell."""
    from offload.identity.values.decode import decode

    try:
        told = decode(details) if details else {}
    except DecodeError:  # written by something else than offload
        return []
    return [checksum for _, checksum in told.get("made", ())] if isinstance(told, dict) else []


def _call(record: dict[str, Any], details: dict[str, Any]) -> Iterator[object]:
    yield from record.get("arguments", {}).values()
    yield from (checksum for _, checksum in details.get("files", ()))


def _command(record: dict[str, Any], details: dict[str, Any]) -> Iterator[object]:
    for item in record.get("inputs", ()):
        yield item["checksum"]
    stdin = record.get("stdin")
    if stdin != "open":
        yield stdin
    for item in details.get("inputs", ()):
        yield from (checksum for _, checksum in item.get("holds", ()))


def host_mark(host: str) -> bytes:
    """Return bytes that stand in the details of a run on a machine of this name, and in no others."""
    from offload.identity.values.encode import encode

    return encode("host") + encode(host)


def matches(label: str, pattern: str) -> bool:
    """Tell whether a label is what a pattern says, in which only ``*`` and ``?`` are special."""
    from fnmatch import fnmatchcase

    return fnmatchcase(label, pattern.replace("[", "[[]"))
