"""Shared libraries that a program, an extension module or another library is linked with: they run with it.

What is found beside the file, in a directory that was given when it was linked, or in a search path, can be built anew
while the file stays as it is. Libraries of the system count as little as the rest of the machine does.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

SYSTEM = (
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/sbin",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/sbin",
)
_LAST = "/usr/local/lib"  # where the loader looks without being told, and what people build themselves lies
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRINGS, _RPATH, _RUNPATH = 1, 5, 15, 29
_MOST_OF_A_NAME = 4096


def linked_libraries(file: str, search: Sequence[str] = (), copied: bool = False) -> dict[str, str]:
    """Return the libraries that a file is linked with, and these in turn, where Linux finds them outside the system.

    Parameters
    ----------
    file : str
        A program or a library; of anything else, there are none.
    search : sequence of str
        The directories of ``LD_LIBRARY_PATH``.
    copied : bool
        Whether it runs elsewhere: what lies beside it is not found there.

    Returns
    -------
    dict
        Their names, as the files give them, and their paths.
    """
    found: dict[str, str] = {}
    left: list[tuple[str, tuple[str, ...]]] = [(file, ())]
    while left:
        path, inherited = left.pop()
        if _is_system(path):
            continue
        needed, rpath, runpath = _links(path)
        origin = os.curdir if copied and path == file else os.path.dirname(os.path.realpath(path))
        own = () if runpath else (*_places(rpath, origin), *inherited)
        places = (*own, *search, *_places(runpath, origin), _LAST)
        for name in needed:
            options = [name] if "/" in name else [f"{place}/{name}" for place in places]
            if copied and path == file:
                options = [option for option in options if option.startswith("/")]
            there = next((option for option in options if os.path.isfile(option)), None)
            if there is not None and name not in found and not _is_system(there):
                found[name] = there
                left.append((there, own))
    return found


def _is_system(path: str) -> bool:
    return os.path.realpath(path).startswith(tuple(f"{place}/" for place in SYSTEM))


def _places(text: str, origin: str) -> Iterator[str]:
    for place in filter(None, text.split(":")):
        yield place.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)


def _links(path: str) -> tuple[list[str], str, str]:
    """Return the names of the libraries that a file asks for, and its two search paths."""
    import struct

    try:
        with open(path, "rb") as file:
            return _read(file)
    except (
        OSError,
        ValueError,
        OverflowError,
        struct.error,
        LookupError,
        StopIteration,
    ):  # not to be read, or nothing that could be loaded
        return [], "", ""


def _read(file: BinaryIO) -> tuple[list[str], str, str]:
    from struct import Struct

    head = file.read(64)
    if head[:4] != b"\x7fELF":
        return [], "", ""
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    first, size, count = (
        *Struct(f"{order}Q" if wide else f"{order}I").unpack_from(head, 32 if wide else 28),
        *Struct(f"{order}2H").unpack_from(head, 54 if wide else 42),
    )
    segment = Struct(f"{order}2I6Q" if wide else f"{order}8I")
    file.seek(first)
    table = file.read(size * count)
    segments = [segment.unpack_from(table, size * number) for number in range(count)]
    # type, offset, address, size in the file
    plain = [(one[0], *((one[2], one[3], one[5]) if wide else (one[1], one[2], one[4]))) for one in segments]
    entries: list[tuple[int, int]] = []
    for kind, offset, _, length in plain:
        if kind == _DYNAMIC:
            file.seek(offset)
            data = file.read(length)
            entry = Struct(f"{order}2Q" if wide else f"{order}2I")
            entries = list(entry.iter_unpack(data[: length - length % entry.size]))
    if not entries:
        return [], "", ""
    strings = next(value for tag, value in entries if tag == _STRINGS)
    place = next(
        strings - at + offset for kind, offset, at, long in plain if kind == _LOAD and at <= strings < at + long
    )

    def text(tag: int) -> list[str]:
        names = []
        for which, value in entries:
            if which == tag:
                file.seek(place + value)
                names.append(os.fsdecode(file.read(_MOST_OF_A_NAME).partition(b"\0")[0]))
        return names

    return text(_NEEDED), ":".join(text(_RPATH)), ":".join(text(_RUNPATH))
