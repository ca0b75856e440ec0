"""A machine that is this one with a home, a path and variables of its own; and distributions, made for a test."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from offload.environments.installed import Installed, installed
from offload.environments.wanted import Needs, needs
from offload.hosts.base import Site

SYSTEM = "/usr/bin:/bin"


class Elsewhere(Site):
    """A machine with another home, on which nothing of this process's environment is set."""

    def __init__(self, home: Path, path: str = SYSTEM, shell: str = "", **variables: str) -> None:
        self.name = "elsewhere"
        self.home = home
        self.runs: list[tuple[str, ...]] = []
        home.mkdir(exist_ok=True)
        self._variables = {"HOME": str(home), "PATH": path, **variables}
        self._shell = shell

    def command(self, words: Sequence[str]) -> list[str]:
        self.runs.append(tuple(words))
        values = [f"{name}={value}" for name, value in self._variables.items()]
        # A login shell that prints text before the command has its turn.
        chatty = ["/bin/sh", "-c", f'{self._shell}\nexec "$@"', "-"] if self._shell else []
        return ["/usr/bin/env", "-i", *values, *chatty, *words]

    def close(self) -> None:
        pass


def own_python(folder: Path) -> str:
    """A directory for PATH that has the Python which runs the tests, under its usual name."""
    folder.mkdir(exist_ok=True)
    name = f"python3.{sys.version_info[1]}"
    base = Path(getattr(sys, "_base_executable", sys.executable))
    (folder / name).write_text(f'#!/bin/sh\nexec {base} "$@"\n')
    (folder / name).chmod(0o755)
    return str(folder)


def install(
    site: Path,
    name: str,
    version: str = "1.0",
    files: Mapping[str, str] | None = None,
    tag: str = "py3-none-any",
    metadata: str = "",
    origin: Mapping[str, object] | None = None,
    points: str = "",
    scripts: Mapping[str, str] | None = None,
) -> Path:
    """Put a distribution into a directory as pip does; ``bin`` is three levels above it. Returns its metadata."""
    contents = {f"{name}/__init__.py": f"version = {version!r}\n"} if files is None else dict(files)
    info = f"{name}-{version}.dist-info"
    contents |= {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/INSTALLER": "pip\n",
    }
    if origin is not None:
        contents[f"{info}/direct_url.json"] = json.dumps(origin)
    if points:
        contents[f"{info}/entry_points.txt"] = points
    contents |= {f"../../../bin/{script}": text for script, text in (scripts or {}).items()}
    rows = []
    for path, text in contents.items():
        place = site / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        if path.startswith("../"):
            place.chmod(0o755)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text)}")
    (site / info / "RECORD").write_text("\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
    return site / info


def site_directory(folder: Path) -> Path:
    """Where distributions of an environment at `folder` are."""
    made = folder / "lib" / "python3" / "site-packages"
    made.mkdir(parents=True, exist_ok=True)
    return made


def one(site: Path, name: str) -> Installed:
    return next(found for found in installed([str(site)]) if found.name == name)


def all_of(site: Path) -> Needs:
    return needs(installed([str(site)]))
