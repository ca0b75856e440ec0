"""Objects of libraries that are made of the path of a file, and read it later: a plan, a data set, a table on disk.

Pickled, they are the path. What they give is what the file holds when they are asked, so its content counts, too.
"""

from __future__ import annotations

import os
from functools import cache

from offload.errors import EncodeError
from offload.identity.libraries.distributions import PROJECT, STANDARD, origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterator
    from typing import Any

    from offload.identity.files import File

_MOST = 1024 * 1024  # bytes in which paths are looked for
_LONGEST = 4096
_DEPTH = 8
MAX_DEPTH = 100
_OWN: dict[type, bool] = {}


def sources(value: Any, parts: tuple[Any, ...]) -> list[File]:
    """Return the files that an object of a library names among the parts that it is pickled from.

    Raises
    ------
    EncodeError
        If it reads files, and it is not to be seen which.
    """
    cls = type(value)
    own = _OWN.get(cls)
    if own is None:
        own = _OWN[cls] = origin(cls.__module__) in (PROJECT, STANDARD)
    if own:
        return []
    if cls.__name__ == "LazyFrame" and cls.__module__.startswith("polars."):
        found = _of_plan(value, parts[2])
    else:
        found = {path for part in parts[1:] for text in _texts(part) if (path := _path(text)) is not None}
    if not found:
        return []
    from offload.identity.files import Directory, File

    files = [(Directory if os.path.isdir(path) else File)(path) for path in sorted(found)]
    for file in files:
        file.implied = True
    return files


def _texts(part: Any, depth: int = _DEPTH) -> Iterator[str]:
    """Yield what may be a path in a part, but for what other objects hold."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, bytes):
        yield from _texts_in(part)
    elif str(type(part).__module__).partition(".")[0] == "pathlib":
        yield str(part)
    elif isinstance(part, dict):
        for pair in part.items() if depth else ():
            yield from _texts(pair, depth - 1)
    elif isinstance(part, list) and part and type(part[0]) is int:
        yield from _texts_in(_bytes(part))
    elif isinstance(part, (list, tuple, set, frozenset)):
        for one in part if depth else ():
            yield from _texts(one, depth - 1)


def _texts_in(data: bytes) -> Iterator[str]:
    for run in _runs().findall(data) if len(data) <= _MOST else ():
        text = run.decode("ascii")
        yield text
        yield text[1:]  # the length is a character, too


def _bytes(numbers: list[Any]) -> bytes:
    """Return the bytes that polars writes as a list of numbers, such as a pickled function."""
    try:
        return bytes(numbers)
    except (TypeError, ValueError):
        return b""


@cache
def _runs() -> re.Pattern[bytes]:
    import re

    # Within what another language has written, strings stand as they are, after their lengths.
    return re.compile(rb"[^\x00-\x1f\x7f-\xff\"'<>|]{3,4096}")


def _path(text: str) -> str | None:
    """Return the file that a text names, or None."""
    if not ("/" in text or "." in text) or len(text) > _LONGEST or "\n" in text or "\0" in text:
        return None
    text = text.removeprefix("file://")
    return text if os.path.isfile(text) else None


def _of_plan(frame: Any, state: Any) -> set[str]:
    """Return the files and directories that a plan of polars names; it is written in MessagePack, after a head."""
    import glob

    found: set[str] = set()
    start = state.find(b"\x83\xa4root") if isinstance(state, bytes) else -1
    plan = _unpacked(state[start:]) if start >= 0 else None
    if isinstance(plan, dict):
        plan.pop("dataframes", None)  # tables in memory, and not what is read
    named = list(_paths_in(plan))
    for name in named:
        text = str(name).removeprefix("file://")
        matches = [text] if os.path.exists(text) else glob.glob(text, recursive=True)
        found.update(matches)
    found |= {path for text in _texts(plan, MAX_DEPTH) if (path := _path(text)) is not None}
    if not named and not found and "SCAN [" in frame.explain(optimized=False):
        raise EncodeError(
            "a polars.LazyFrame reads files when it is collected, and it is not to be seen which",
            "pass offload.File(...), and scan it in the function",
        )
    return found


def _unpacked(data: bytes) -> Any:
    import msgpack

    try:
        return msgpack.unpackb(data, strict_map_key=False, raw=False, unicode_errors="surrogateescape")
    except (ValueError, msgpack.UnpackException):  # another format than that of today
        return None


def _paths_in(plan: Any) -> Iterator[str]:
    """Yield the paths of the scans in a plan."""
    if isinstance(plan, dict):
        for name, part in plan.items():
            if name == "Paths":
                yield from (text for one in part for text in _texts(one) if text != "inner")
            else:
                yield from _paths_in(part)
    elif isinstance(plan, list):
        for part in plan:
            yield from _paths_in(part)
