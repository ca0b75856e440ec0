"""Code that a Python program imports from where it lies: projects installed editable, and what lies beside a script.

Such code is no distribution with a version, so it counts by content. It is found by reading what Python itself reads at
its start, without starting it; unchanged, it costs a look at each file.
"""

from __future__ import annotations

import os

from offload.compute.commands.detect import is_system
from offload.compute.commands.inplace import environment_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from offload.storage.filecache import FileChecksums

MAX_FILES = 10_000
"""With more files, a project counts by their sizes and times: it may be computed again without need."""

_CODE = (".py", ".so", ".pyd", ".pyx")
_NO_CODE = frozenset("__pycache__ build dist node_modules site-packages venv".split())
_OPTIONS_WITH_WORDS = ("-W", "-X", "--check-hash-based-pycs")


def is_python(program: str) -> bool:
    """Return whether a program is an interpreter of Python, by its name."""
    return os.path.basename(program).startswith(("python", "pypy"))


def editable_code(prefix: str, files: FileChecksums) -> list[str]:
    """Return what counts of the projects that an environment imports from where they lie, a line for each."""
    lines = []
    for name, directory in sorted(set(_editable(prefix))):
        lines.append(f"editable {name} {_content(directory, _project_files(directory), files)}")
    return lines


def code_beside(argv: Sequence[str], program: str, runs_python: bool, files: FileChecksums) -> list[str]:
    """Return what counts of the modules beside a script that Python runs where it lies, as lines.

    Parameters
    ----------
    argv : sequence of str
        The command.
    program : str
        What its first word stands for.
    runs_python : bool
        Whether it is a script of Python.
    files : FileChecksums
        Knows the checksums of files.
    """
    script = program if runs_python else _script(argv) if is_python(program) else None
    if script is None or not script.startswith("/") or is_system(script) or environment_of(script) is not None:
        return []
    directory = os.path.dirname(os.path.realpath(script))
    return [f"beside {os.path.basename(script)} {_content(directory, _importable(directory), files)}"]


def _script(argv: Sequence[str]) -> str | None:
    """Return the script that the words of ``python`` name; None for ``-c`` and ``-m``."""
    words = iter(argv[1:])
    for word in words:
        if word in _OPTIONS_WITH_WORDS:
            next(words, None)
        elif not word.startswith("-"):
            return word
        elif word == "-" or (word[1] != "-" and any(letter in word for letter in "cmIP")):
            return None
    return None


def _editable(prefix: str) -> Iterator[tuple[str, str]]:
    """Give the names and directories of projects that an environment does not hold, but leads to."""
    for library in _listed(f"{prefix}/lib"):
        if not library.startswith("python"):
            continue
        for folder in ("site-packages", "dist-packages"):
            site = f"{prefix}/lib/{library}/{folder}"
            for name in _listed(site):
                if name.endswith(".dist-info"):
                    directory = _source(f"{site}/{name}/direct_url.json")
                    if directory is not None and not name.startswith("offload-"):
                        yield name.partition("-")[0], directory
                elif name.endswith((".pth", ".egg-link")) and "offload" not in name:
                    for directory in _led_to(site, name):
                        yield name.rpartition(".")[0], directory


def _source(path: str) -> str | None:
    """Return the directory of an editable distribution; read by hand, since this is asked at each recall."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return None
    if '"editable": true' not in text and '"editable":true' not in text:
        return None
    url = text.partition('"file://')[2].partition('"')[0]
    if "%" in url:
        from urllib.parse import unquote

        url = unquote(url)
    return url if os.path.isdir(url) else None


def _led_to(site: str, name: str) -> Iterator[str]:
    try:
        with open(f"{site}/{name}", encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        directory = os.path.join(site, line.strip())
        if line.strip() in ("", ".") or line.startswith(("#", "import ", "import\t")) or not os.path.isdir(directory):
            continue
        real = os.path.realpath(directory)
        if os.path.basename(real) not in ("site-packages", "dist-packages") and not is_system(real):
            yield real


def _project_files(directory: str) -> Iterator[str]:
    """Give the files of a project that can be imported, and the data beside them in packages."""
    for place, below, names in os.walk(directory):
        if "pyvenv.cfg" in names or "conda-meta" in below:
            below.clear()
            continue
        below[:] = sorted(name for name in below if name not in _NO_CODE and not name.startswith("."))
        below[:] = [name for name in below if not name.endswith((".egg-info", ".dist-info"))]
        is_package = "__init__.py" in names
        for name in sorted(names):
            if name.endswith(_CODE) or (is_package and not name.endswith((".pyc", "~")) and not name.startswith(".")):
                yield os.path.join(place, name)


def _importable(directory: str) -> Iterator[str]:
    """Give the modules and packages of a directory that is on Python's path."""
    for name in sorted(_listed(directory)):
        path = os.path.join(directory, name)
        if name.endswith(_CODE):
            yield path
        elif name.isidentifier() and os.path.isfile(os.path.join(path, "__init__.py")):
            yield from _project_files(path)


def _content(directory: str, paths: Iterator[str], files: FileChecksums) -> str:
    from offload.identity.checksums import checksum

    names = [path for path in paths if os.path.isfile(path) and os.access(path, os.R_OK)]
    if len(names) <= MAX_FILES:
        marks = files.checksums(names)
    else:
        marks = [f"{status.st_size} {status.st_mtime_ns}" for status in map(os.stat, names)]
    rows = (f"{os.path.relpath(name, directory)} {mark}" for name, mark in zip(names, marks, strict=True))
    return checksum("\n".join(rows).encode("utf-8", "surrogateescape"))


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
