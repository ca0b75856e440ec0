"""The logs of a deployment's processes: the last lines of each, in the order of time, and what is added to them."""

from __future__ import annotations

import os
import re
from typing import Any

from offload.registry.deployments import Place

SUFFIX = ".log"
BLOCK = 64 * 1024
MOST = 1 << 20  # bytes of one log that are given at once, so that no answer is too long for anybody

LARGEST, KEPT = 64 << 20, 4 << 20  # bytes of a log: when it is shortened, and what stays of it

# As Dask, the head and the workers begin their lines.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:,\d{3})?")

Line = tuple[str, str]
"""Who has said it, and the line."""


def log_files(place: Place) -> dict[str, str]:
    """Return the paths of the logs by who writes them, sorted; nothing where the deployment has been brought down."""
    try:
        names = sorted(os.listdir(place.logs))
    except FileNotFoundError:
        return {}
    return {name.removesuffix(SUFFIX): os.path.join(place.logs, name) for name in names if name.endswith(SUFFIX)}


def shorten(place: Place) -> None:
    """Cut logs that have grown large down to their end; whoever writes one goes on there."""
    for path in log_files(place).values():
        try:
            with open(path, "rb+") as file:
                # In a log that is not written at its end, what was cut off becomes a hole, which takes no room.
                if os.fstat(file.fileno()).st_blocks * 512 <= LARGEST:
                    continue
                file.seek(-KEPT, os.SEEK_END)
                data = file.read()
                file.truncate(0)
        except OSError:
            continue  # it has gone, or belongs to somebody else
        with open(path, "ab") as file:
            file.write(b"... the lines before this one were dropped, since the log had grown large ...\n")
            file.write(data[data.find(b"\n") + 1 :])


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


def merged(said: dict[str, list[str]]) -> list[Line]:
    """Return lines of several logs in the order of time.

    A line that tells no time, such as one of a traceback, stays with the one before it.

    Examples
    --------
    >>> merged({"a": ["2026-01-01 10:00:02 x", "more of x"], "b": ["2026-01-01 10:00:01,500 y"]})
    [('b', '2026-01-01 10:00:01,500 y'), ('a', '2026-01-01 10:00:02 x'), ('a', 'more of x')]
    """
    timed: list[tuple[str, Line]] = []
    for who, lines in said.items():
        moment = ""
        for line in lines:
            found = _MOMENT.match(line)
            moment = found[0] if found else moment
            timed.append((moment, (who, line)))
    return [line for _, line in sorted(timed, key=lambda item: item[0])]


def said(
    place: Place, read: dict[str, list[int]] | None = None, lines: int = 0, only: str | None = None
) -> dict[str, Any]:
    """Return what the processes of a deployment have said.

    Parameters
    ----------
    place : Place
        The deployment.
    read : dict, optional
        What an earlier answer gave as ``read``: only whole lines that have been added since then count, also in logs
        that came later, and in those that were emptied or made anew. By default the last lines count.
    lines : int
        How many of each, where nothing has been read yet.
    only : str, optional
        Whose log, if not all of them.

    Returns
    -------
    dict
        ``said``, the lines by who has said them; ``read``, how far that goes; ``over``, whether there is nothing to
        come, as the deployment has been brought down.
    """
    over = not os.path.exists(place.logs)
    new: dict[str, list[str]] = {}
    now: dict[str, list[int]] = {}
    for who, path in log_files(place).items():
        if only not in (None, who):
            continue
        try:
            if read is None:
                now[who] = [os.stat(path).st_ino, _end_of_lines(path)]
                new[who] = _texts(last_lines(path, lines))
            else:
                new[who], now[who] = _added(path, read.get(who))
        except FileNotFoundError:
            continue  # it is being brought down
    return {"said": new, "read": now, "over": over}


def _added(path: str, read: list[int] | None) -> tuple[list[str], list[int]]:
    """Return the whole lines after what has been read, and how far they go."""
    with open(path, "rb") as file:
        number, size = os.fstat(file.fileno()).st_ino, file.seek(0, os.SEEK_END)
        start = read[1] if read is not None and read[0] == number and read[1] <= size else 0
        file.seek(start)
        data = file.read(MOST)
    whole = data[: data.rfind(b"\n") + 1] or (data if len(data) == MOST else b"")
    return _texts(whole.splitlines()), [number, start + len(whole)]


def _texts(lines: list[bytes]) -> list[str]:
    return [line.decode("utf-8", "replace") for line in lines]


def _end_of_lines(path: str) -> int:
    """Return the place after the last line that is whole."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - BLOCK))
        data = file.read()
    return size - len(data) + data.rfind(b"\n") + 1
