"""What a program brings along besides its own file: the packages of the environment that it lies in.

An upgraded package leaves the file of ``python``, or the few lines of an installed script, as they were. So a program
in a virtual or conda environment counts together with the names and versions of all that is installed there, and so
does the system's Python, and a program in ``node_modules/.bin``. It costs a listing or two.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_METADATA = (".dist-info", ".egg-info", ".egg-link", ".pth")
_SYSTEM_PYTHONS = ("/usr", "/usr/local")


def installed(program: str) -> list[str]:
    """Return what is installed in the environment of a program.

    Parameters
    ----------
    program : str
        Its path, links not followed: an environment's ``bin/python`` is a link to another place.

    Returns
    -------
    list of str
        Names that tell distributions and their versions, such as ``numpy-2.1.0.dist-info``, sorted; empty for a program
        that lies in no environment.
    """
    return sorted({name for prefix in prefixes(program) for name in _names(prefix)})


def prefixes(program: str) -> tuple[str, ...]:
    """Return the directories in which a program's packages are installed: its environment, and what that is based on.

    Empty for a program that lies in no environment.
    """
    prefix = os.path.dirname(os.path.dirname(os.path.abspath(program)))
    if prefix in _SYSTEM_PYTHONS or prefix == "/":
        return _SYSTEM_PYTHONS if os.path.basename(program).startswith("python") else ()
    return (prefix, *_based_on(prefix))


def sites(prefix: str) -> Iterator[str]:
    """Give the directories below a prefix that hold the packages of Python."""
    for library in _listed(f"{prefix}/lib"):
        if library.startswith("python"):
            for folder in ("site-packages", "dist-packages"):
                yield f"{prefix}/lib/{library}/{folder}"


def _based_on(prefix: str) -> tuple[str, ...]:
    """Return where the packages lie that a virtual environment takes from the Python that it was made with."""
    try:
        with open(f"{prefix}/pyvenv.cfg", encoding="utf-8", errors="replace") as file:
            settings = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in file)}
    except OSError:  # it is none
        return ()
    if settings.get("include-system-site-packages", "").lower() != "true":
        return ()
    return prefixes(f"{settings.get('home', '/usr/bin')}/python")


def software_checksum(names: bytes) -> str | None:
    """Return what counts of such names, given a line each; None where there are none."""
    if not names:
        return None
    from offload.identity.checksums import checksum

    return checksum(names)


def package_changes(before: bytes, now: bytes) -> list[str]:
    r"""Return how what is installed differs, a text for each package.

    Examples
    --------
    >>> package_changes(b"numpy-1.0.dist-info\nzlib-1.2-h1.json", b"numpy-1.1.dist-info")
    ['numpy 1.0 -> 1.1', 'zlib 1.2 h1 -> none']
    """
    old, new = (dict(map(_package, os.fsdecode(names).split("\n"))) for names in (before, now))
    changed = (name for name in sorted(old.keys() | new.keys()) if name and old.get(name) != new.get(name))
    return [f"{name} {old.get(name, 'none')} -> {new.get(name, 'none')}" for name in changed]


def _package(line: str) -> tuple[str, str]:
    """Return the name and the version in a line of what is installed."""
    if " " in line:  # `python CHECKSUM`, `editable NAME CHECKSUM`, `files of NAME CHECKSUM`
        name, _, version = line.rpartition(" ")
        return name, version[:12]
    stem, _, kind = line.rpartition(".")
    if kind == "json":
        name, version, build = [*stem.rsplit("-", 2), "", ""][:3]
        return name, f"{version} {build}"
    name, _, version = stem.partition("-")
    return name, version or kind


def _names(prefix: str) -> Iterator[str]:
    for name in _listed(f"{prefix}/conda-meta"):
        if name.endswith(".json"):
            yield name
    if os.path.basename(prefix) == "node_modules":
        yield from _of_node(prefix)
    for site in sites(prefix):
        yield from (name for name in _listed(site) if name.endswith(_METADATA))


def _of_node(prefix: str) -> Iterator[str]:
    """Give the packages of a ``node_modules`` and their versions; of those within others, the lists that tools keep."""
    import json
    from contextlib import suppress
    from hashlib import sha256

    for name in (".package-lock.json", ".yarn-integrity", ".yarn-state.yml", ".modules.yaml"):
        with suppress(OSError), open(f"{prefix}/{name}", "rb") as file:
            yield f"npm {name} {sha256(file.read()).hexdigest()}"
    for package in _listed(prefix):
        scoped = [f"{package}/{name}" for name in _listed(f"{prefix}/{package}")] if package[:1] == "@" else [package]
        for name in scoped:
            with suppress(OSError, ValueError), open(f"{prefix}/{name}/package.json", "rb") as file:
                known = json.load(file)
                yield f"npm {name} {known.get('version') if isinstance(known, dict) else None}"


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:  # it is no environment
        return []
