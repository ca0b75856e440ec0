"""Code that a Python program imports, and that no version tells: of projects that were installed from a directory, a
file or a repository, editable or not, and what lies beside a script.

Such code counts by content. It is found by reading what Python itself reads at
its start, without starting it; unchanged, it costs a look at each file.
"""

from __future__ import annotations

import os

from offload.commands.planning.detect import is_system
from offload.commands.planning.in_place import environment_of
from offload.commands.planning.program_software import sites
from offload.util import bytecode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from offload.storage.file_checksums import FileChecksums

MAX_FILES = 10_000
"""With more files, a project counts by their sizes and times: it may be computed again without need."""

_CODE = (".py", ".so", ".pyd", ".pyx")
_NO_CODE = frozenset("__pycache__ build dist node_modules site-packages venv".split())
_OPTIONS_WITH_WORDS = ("-W", "-X", "--check-hash-based-pycs")


def is_python(program: str) -> bool:
    """Return whether a program is an interpreter of Python, by its name."""
    return os.path.basename(program).startswith(("python", "pypy"))


def project_code(prefix: str, files: FileChecksums) -> list[str]:
    """Return what counts of the projects that an environment holds or leads to, a line for each.

    What was installed from an index counts by its version, and is left out.
    """
    lines = []
    for name, directory in sorted(set(_editable(prefix))):
        lines.append(f"editable {name} {_content(directory, _project_files(directory), files)}")
    for site in sites(prefix):
        for name in sorted(_listed(site)):
            if name.endswith(".dist-info") and not name.startswith("offload-"):
                mark = _installed_files(site, name, files)
                if mark is not None:
                    lines.append(f"files of {name.partition('-')[0]} {mark}")
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
    for site in sites(prefix):
        for name in _listed(site):
            if name.endswith(".dist-info"):
                directory = _source(_text(f"{site}/{name}/direct_url.json"))
                if directory is not None and not name.startswith("offload-"):
                    yield name.partition("-")[0], directory
            elif name.endswith((".pth", ".egg-link")) and "offload" not in name:
                for directory in _led_to(site, name):
                    yield name.rpartition(".")[0], directory


def _installed_files(site: str, metadata: str, files: FileChecksums) -> str | None:
    """Return what tells the files of a distribution that can be built again under its version; None for others.

    Those of a local directory are read: it may be that an installer has put links there. Those of a file or a
    repository count as the installer has noted them, which is the same where they are.
    """
    origin = _text(f"{site}/{metadata}/direct_url.json")
    if not origin or _is_editable(origin) or _text(f"{site}/{metadata}/INSTALLER").strip() == "conda":
        return None
    listed = [line.rsplit(",", 2) for line in _text(f"{site}/{metadata}/RECORD").splitlines() if line.count(",") > 1]
    # Scripts hold the path of their environment, and the metadata tells of the installation.
    named = [(name.strip('"'), noted) for name, noted, _ in listed if ".dist-info/" not in name]
    counting = [(n, noted) for n, noted in named if not n.endswith(".pyc") and not (n[:1] in "./" and "/bin/" in n)]
    if '"dir_info"' in origin:
        return _content(site, (os.path.join(site, name) for name, _ in counting), files)
    return _mark((os.path.normpath(name), _hexadecimal(noted)) for name, noted in counting if noted)


def _hexadecimal(noted: str) -> str:
    """Return a checksum of a RECORD as `FileChecksums` gives it, or as it is where it is of another kind."""
    from base64 import urlsafe_b64decode

    kind, _, text = noted.partition("=")
    try:
        return urlsafe_b64decode(f"{text}=").hex() if kind == "sha256" else noted
    except ValueError:
        return noted


def _is_editable(origin: str) -> bool:
    return '"editable": true' in origin or '"editable":true' in origin


def _source(text: str) -> str | None:
    """Return the directory of an editable distribution; read by hand, since this is asked at each recall."""
    if not _is_editable(text):
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
    names = [path for path in paths if os.path.isfile(path) and os.access(path, os.R_OK)]
    bytecode.drop_stale(names)
    if len(names) <= MAX_FILES:
        marks = files.checksums(names)
    else:
        marks = [f"{status.st_size} {status.st_mtime_ns}" for status in map(os.stat, names)]
    return _mark((os.path.relpath(name, directory), mark) for name, mark in zip(names, marks, strict=True))


def _mark(rows: Iterable[tuple[str, str]]) -> str:
    """Return the checksum of files, given the name and the checksum of each."""
    from offload.identity.checksums import checksum

    return checksum("\n".join(f"{name} {mark}" for name, mark in rows).encode("utf-8", "surrogateescape"))


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:  # there is none, or not to be read
        return ""


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
