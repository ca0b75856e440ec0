"""The runs of commands that failed: for people who ask what went wrong last night, and never part of any result.

A file of lines in the home, each a JSON object, the oldest first. When it has grown, its older half is let go of.
"""

from __future__ import annotations

import json
import os

from offload.util.files import write_whole
from offload.util.filesystems import translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME = "failures.jsonl"
MOST_BYTES = 4_000_000
"""About ten thousand failures."""


def note(home: str, failures: Sequence[Mapping[str, object]]) -> None:
    """Keep failures.

    Parameters
    ----------
    home : str
        The directory of the home.
    failures : sequence of mapping
        Of plain values, in the order of time.

    Raises
    ------
    StorageError
        If they cannot be written.
    """
    path = os.path.join(home, NAME)
    data = "".join(f"{json.dumps(failure)}\n" for failure in failures).encode()
    try:
        descriptor = _locked(path)
        try:
            written = os.write(descriptor, data)
            if written < len(data):  # the disk is full: no half a line stays
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            if os.fstat(descriptor).st_size > MOST_BYTES:
                _shorten(path)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise translated(error, path) from error


def read(home: str) -> list[dict[str, object]]:
    """Return what is kept, the newest first."""
    try:
        with open(os.path.join(home, NAME), encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise translated(error, os.path.join(home, NAME)) from error
    return [found for line in reversed(lines) if (found := _parsed(line)) is not None]


def _parsed(line: str) -> dict[str, object] | None:
    try:
        found = json.loads(line)
    except ValueError:  # cut off by a crash of the machine
        return None
    return found if isinstance(found, dict) else None


def _locked(path: str) -> int:
    """Open the file to add to it, and lock it: nobody exchanges it meanwhile."""
    import fcntl

    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass  # it has just been exchanged, or removed
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _shorten(path: str) -> None:
    with open(path, "rb") as file:
        data = file.read()
    begin = data.index(b"\n", len(data) // 2) + 1
    write_whole(path, data[begin:])
