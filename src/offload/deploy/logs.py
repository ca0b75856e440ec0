"""The logs of a deployment's processes: the last lines of each, in the order of time, and what is added to them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from offload.compute.places import Place

SUFFIX = ".log"
BLOCK = 64 * 1024

# As Dask, the head and the workers begin their lines.
_MOMENT = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:,\d{3})?")

Line = tuple[str, str]
"""Who has said it, and the line."""


def log_files(place: Place) -> dict[str, str]:
    """Return the paths of the logs by who writes them, sorted; nothing where the deployment has been brought down."""
    try:
        names = sorted(os.listdir(place.logs))
    except FileNotFoundError:
        return {}
    return {name.removesuffix(SUFFIX): os.path.join(place.logs, name) for name in names if name.endswith(SUFFIX)}


def last_lines(path: str, count: int) -> list[bytes]:
    """Return the last lines of a file, all of them where there are fewer."""
    try:
        with open(path, "rb") as file:
            place = file.seek(0, os.SEEK_END)
            data = b""
            while place and data.count(b"\n") <= count:
                size = min(BLOCK, place)
                place = file.seek(place - size)
                data = file.read(size) + data
    except FileNotFoundError:
        return []
    return data.splitlines()[-count:] if count > 0 else []


def merged(said: dict[str, list[bytes]]) -> list[Line]:
    """Return lines of several logs in the order of time.

    A line that tells no time, such as one of a traceback, stays with the one before it.

    Examples
    --------
    >>> merged({"a": [b"2026-01-01 10:00:02 x", b"more of x"], "b": [b"2026-01-01 10:00:01,500 y"]})
    [('b', '2026-01-01 10:00:01,500 y'), ('a', '2026-01-01 10:00:02 x'), ('a', 'more of x')]
    """
    timed: list[tuple[bytes, Line]] = []
    for who, lines in said.items():
        moment = b""
        for line in lines:
            found = _MOMENT.match(line)
            moment = found[0] if found else moment
            timed.append((moment, (who, line.decode("utf-8", "replace"))))
    return [line for _, line in sorted(timed, key=lambda item: item[0])]


class Follower:
    """Reads what is added to logs: also to those that come later, and to those that are emptied or made anew.

    Parameters
    ----------
    place : Place
        The deployment.
    only : str, optional
        Whose log, if not all of them.
    """

    def __init__(self, place: Place, only: str | None = None) -> None:
        self._place = place
        self._only = only
        self._read: dict[str, tuple[int, int]] = {}  # who: the file's number, and up to where it has been read
        for _, path, who in self._files():
            state = os.stat(path)
            self._read[who] = state.st_ino, _end_of_lines(path)

    def added(self) -> list[Line]:
        """Return the whole lines that have been added since the last time."""
        said: dict[str, list[bytes]] = {}
        for number, path, who in self._files():
            known, position = self._read.get(who, (number, 0))
            with open(path, "rb") as file:
                if known != number or file.seek(0, os.SEEK_END) < position:
                    position = 0
                file.seek(position)
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._read[who] = number, position + len(whole)
            said[who] = whole.splitlines()
        return merged(said)

    def is_over(self) -> bool:
        """Tell whether there is nothing left to follow, as the deployment has been brought down."""
        return not os.path.exists(self._place.logs)

    def _files(self) -> Iterator[tuple[int, str, str]]:
        for who, path in log_files(self._place).items():
            if self._only in (None, who):
                try:
                    yield os.stat(path).st_ino, path, who
                except FileNotFoundError:
                    continue  # it is being brought down


def _end_of_lines(path: str) -> int:
    """Return the place after the last line that is whole."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - BLOCK))
        data = file.read()
    return size - len(data) + data.rfind(b"\n") + 1
