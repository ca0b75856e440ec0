"""Named environments: ``offload run --env NAME``. A command finds its programs there, and all that is installed counts.

An environment is a directory: a virtual environment, or one of conda's. It counts by its manifest, not by its name or
place: the names and versions of what is installed in it, its Python, and the content of projects installed editable.
"""

from __future__ import annotations

import os

from offload.commands.planning.program_software import installed, prefixes
from offload.commands.planning.programs import search_path
from offload.commands.planning.python_code import project_code
from offload.commands.request import quoted
from offload.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from offload.storage.file_checksums import FileChecksums

_ROOTS = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", ".conda", "conda", "mamba")


class NamedEnvironment:
    """A virtual or conda environment.

    Parameters
    ----------
    prefix : str
        Its directory, absolute.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.is_conda = os.path.isdir(f"{prefix}/conda-meta")

    def variables(self, search: str | None = None) -> dict[str, str]:
        """Return what a command finds in its environment besides the usual; it does not count."""
        path = f"{self.prefix}/bin{os.pathsep}{search or search_path()}"
        return {"PATH": path, "CONDA_PREFIX" if self.is_conda else "VIRTUAL_ENV": self.prefix}

    def manifest(self, files: FileChecksums) -> list[str]:
        """Return what counts, a line each."""
        lines = installed(f"{self.prefix}/bin/any")
        python = f"{self.prefix}/bin/python"
        if os.path.exists(python):
            lines.append(f"python {files.checksum(os.path.realpath(python))}")
        lines += [f"version {version}" for version in self._version()]
        code = (line for prefix in prefixes(f"{self.prefix}/bin/any") for line in project_code(prefix, files))
        return [*lines, *code]

    def _version(self) -> Iterator[str]:
        """Give the version of Python that a virtual environment was made with: its program may be a mere link."""
        try:
            with open(f"{self.prefix}/pyvenv.cfg", encoding="utf-8", errors="replace") as stream:
                yield from (line.partition("=")[2].strip() for line in stream if line.startswith("version"))
        except FileNotFoundError:
            return


def find_environment(name: str) -> NamedEnvironment:
    """Return the environment that a user names: by its directory, or as conda does.

    Raises
    ------
    UsageError
        If there is none, or if it is a file.
    """
    if os.path.isfile(name):
        raise UsageError(
            f"--env {name} is a file: it says what should be installed, not what is",
            f"name the environment that was made from it; if the command reads the file: --input {quoted(name)}",
        )
    places = [name] if "/" in name or os.path.isdir(name) else []
    places += [place for place in _conda_environments() if os.path.basename(place) == name and "/" not in name]
    places += [os.path.expanduser(f"~/.virtualenvs/{name}")] if "/" not in name else []
    for place in places:
        prefix = os.path.abspath(os.path.expanduser(place))
        if os.path.isdir(f"{prefix}/bin") and any(
            os.path.exists(f"{prefix}/{mark}") for mark in ("pyvenv.cfg", "conda-meta")
        ):
            return NamedEnvironment(prefix)
    if os.path.isdir(name):
        raise UsageError(
            f"--env {name} is no virtual or conda environment: it has neither pyvenv.cfg nor conda-meta",
            f"python -m venv {name}  makes one",
        )
    raise UsageError(
        f"there is no environment {name}", "give its directory (--env .venv), or a name that `conda env list` shows"
    )


def _conda_environments() -> Iterator[str]:
    """Give the directories of conda's environments: those that it has noted, and those in the usual places."""
    try:
        with open(os.path.expanduser("~/.conda/environments.txt"), encoding="utf-8") as stream:
            yield from (line.strip() for line in stream if line.strip())
    except FileNotFoundError:
        pass  # conda is not used, or has made nothing yet
    roots = [os.environ.get("MAMBA_ROOT_PREFIX", ""), *(os.path.expanduser(f"~/{root}") for root in _ROOTS)]
    program = os.environ.get("CONDA_EXE", "")
    roots.append(os.path.dirname(os.path.dirname(program)) if program else "")
    for root in filter(None, roots):
        if os.path.isdir(f"{root}/envs"):
            yield from sorted(f"{root}/envs/{entry}" for entry in os.listdir(f"{root}/envs"))
