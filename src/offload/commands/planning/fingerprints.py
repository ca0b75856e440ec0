"""What the programs of a deployment's workers are: looked at where they are, and counted where they are asked for.

A worker tells of each program its path, its checksum, what runs it and what is installed beside it, as plain values.
"""

from __future__ import annotations

import os

from offload.commands.planning.detect import SHELLS
from offload.commands.planning.program_software import installed, prefixes, software_checksum
from offload.commands.planning.programs import interpreter, resolve
from offload.commands.planning.python_code import code_beside, is_python, project_code
from offload.commands.planning.scripts import words_in
from offload.errors import OffloadError
from offload.identity.commands import identify
from offload.identity.libraries.linked_libraries import linked_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from offload.commands.planning.plan import Plan
    from offload.commands.planning.sought import Sought
    from offload.storage.file_checksums import FileChecksums

    Table = dict[str, dict[str, Any] | None]
    Fingerprint = dict[str, Any]

MOST = 100
"""So many programs that scripts of one program name are looked at."""

_OF_THE_SYSTEM = frozenset(("/bin", "/sbin", "/usr/bin", "/usr/sbin"))

UNKNOWN = "unknown"
"""Stands for the checksum of a program as long as no worker has told it: nothing is recorded under that."""


def look(programs: Iterable[str], words: Iterable[str], path: str, files: FileChecksums) -> Table:
    """Return what is here under the names of programs; None for each that is not.

    Parameters
    ----------
    programs, words
        As in `Sought`.
    path : str
        Where they are looked for.
    files : FileChecksums
        Knows the checksums of files.
    """
    places: dict[str, str | None] = {}
    for name in programs:
        try:
            places[name] = resolve(name, path)
        except OffloadError:
            places[name] = name if name.startswith("/") and os.path.isfile(name) else None
    for word in words:
        places.setdefault(word, _own(word, path))
    return {name: None if place is None else _entry(name, place, path, files) for name, place in places.items()}


def _own(word: str, path: str) -> str | None:
    """Return where a program is that does not come with the operating system."""
    if word.startswith("/"):
        here = os.path.isfile(word) and os.access(word, os.X_OK)
        return word if here and os.path.realpath(os.path.dirname(word)) not in _OF_THE_SYSTEM else None
    for directory in path.split(os.pathsep) if "/" not in word else ():
        place = f"{os.path.abspath(directory)}/{word}"
        if directory and os.path.isfile(place) and os.access(place, os.X_OK):
            return None if os.path.realpath(directory) in _OF_THE_SYSTEM else place
    return None


def _entry(name: str, place: str, path: str, files: FileChecksums) -> dict[str, Any]:
    named = _started_by(place, path)
    programs = [place, *named.values()]
    lines = {*_loaded_modules(), *(line for program in programs for line in installed(program))}
    if any(map(is_python, programs)):
        found = dict.fromkeys(prefix for program in programs for prefix in prefixes(program))
        lines.update(line for prefix in found for line in project_code(prefix, files))
    running = interpreter(place, path)
    lines.update(code_beside([name], place, running is not None and is_python(running[1]), files))
    if place.endswith(".py") and running is None:
        lines.update(code_beside(["python", place], "python", False, files))
    return {
        "path": place,
        "checksum": _checksum(place, files),
        "programs": {one: [its, _checksum(its, files)] for one, its in named.items()},
        "lines": sorted(lines),
    }


def _loaded_modules() -> Iterator[str]:
    """Give the environment modules that are loaded here: they may have set variables that a program goes by."""
    for module in os.environ.get("LOADEDMODULES", "").split(":"):
        if module:
            name, _, version = module.partition("/")
            yield f"module {name} {version or 'loaded'}"


def _started_by(place: str, path: str) -> dict[str, str]:
    """Return what runs a script, and the programs that a shell script names, and these in their turn."""
    found: dict[str, str] = {}
    left = [place]
    while left and len(found) < MOST:
        script = left.pop()
        found.update(linked_libraries(script))
        running = interpreter(script, path)
        if running is None:
            continue
        found.setdefault(*running)
        if os.path.basename(running[1]) in SHELLS:
            for word in sorted(words_in(script) - found.keys()):
                one = _own(word, path)
                if one is not None and one != place:
                    found[word] = one
                    left.append(one)
    return found


def _checksum(place: str, files: FileChecksums) -> str:
    if os.access(place, os.R_OK):
        return files.checksums([place])[0]
    status = os.stat(place)  # executable, and not to be read
    return f"{status.st_size} {status.st_mtime_ns}"


def fingerprint(table: Table, wanted: Sought) -> Fingerprint | None:
    """Return what counts of the programs of a command, given what a worker has told; None without its main one."""
    main = table.get(wanted.main) if wanted.main else None
    if wanted.main and main is None:
        return None
    programs: dict[str, str] = {}
    paths: dict[str, str] = {}
    lines: set[str] = set()
    for name in dict.fromkeys((*wanted.programs, *wanted.words)):
        entry = table.get(name)
        if entry is not None:
            lines.update(entry["lines"])
            for one, (path, checksum) in ((name, (entry["path"], entry["checksum"])), *entry["programs"].items()):
                programs[one], paths[one] = checksum, path
    checksum = programs.pop(wanted.main) if main is not None else None
    return {"checksum": checksum, "programs": programs, "paths": paths, "lines": sorted(lines)}


def take(plan: Plan, found: Fingerprint | None) -> bool:
    """Have the programs of workers count for a command; None for such that nobody has told yet.

    Returns
    -------
    bool
        Whether it is another command by that.
    """
    there = {name: value for name, value in (plan.request.there or {}).items() if name != "programs"}
    found = found or {"checksum": UNKNOWN, "programs": {}, "paths": None, "lines": []}
    if found["checksum"] is not None:
        plan.executable_checksum = found["checksum"]
    plan.programs, plan.program_checksums = {}, dict(sorted(found["programs"].items()))
    plan.installed = "\n".join(found["lines"]).encode("utf-8", "surrogateescape")
    plan.software = software_checksum(plan.installed)
    plan.request.there = {**there, "programs": found["paths"]}
    plan.record = {
        **plan.record,
        "executable": plan.executable_checksum,
        "programs": plan.program_checksums,
        "software": plan.software,
        "there": plan.request.there,
    }
    before = plan.transformation
    plan.transformation, plan.data = identify(plan.record)
    return plan.transformation != before


def seen(plan: Plan, path: str, files: FileChecksums) -> Fingerprint | None:
    """Return what is here of the programs that a command uses; None without its main one."""
    assert plan.sought is not None
    return fingerprint(look(plan.sought.programs, plan.sought.words, path, files), plan.sought)


def changes(before: Fingerprint, now: Fingerprint | None) -> Iterator[str]:
    """Give the paths of programs that are no longer what they were."""
    for name, path in before["paths"].items():
        if now is None or now["paths"].get(name) != path or now["programs"].get(name) != before["programs"].get(name):
            yield path
    if now is None or now["checksum"] != before["checksum"] or now["lines"] != before["lines"]:
        yield next(iter(before["paths"].values()), "a program")
