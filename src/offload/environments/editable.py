"""Which files an editable distribution consists of: those that are imported in place."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator

from offload.environments.installed import Installed
from offload.errors import OffloadError

_LEFT_OUT = frozenset(
    ("__pycache__", "build", "dist", "node_modules", "venv", ".git", ".hg", ".venv", ".tox", ".mypy_cache")
)


def editable_files(one: Installed) -> list[tuple[str, str]]:
    """Return the files of an editable distribution: as they are imported, and where they are.

    Raises
    ------
    OffloadError
        If it is made known to Python in a way that cannot be followed.
    """
    found: dict[str, str] = {}
    for name, path in _top_level(one):
        if os.path.isdir(path):
            for file in _walk(path):
                found[f"{name}/{os.path.relpath(file, path)}"] = file
        elif os.path.isfile(path):
            found[f"{name}{os.path.splitext(path)[1]}" if "." not in name else name] = path
    if not found:
        raise OffloadError(
            f"{one.name} is installed editable in a way that cannot be followed",
            f"install it without -e: pip install {one.source}",
        )
    return sorted(found.items())


def _top_level(one: Installed) -> Iterator[tuple[str, str]]:
    """Give names of packages and modules (dots are slashes), and their paths."""
    if one.root == one.source:  # setup.py develop
        yield from _importable(one.root)
        return
    for entry in one.distribution().files or ():
        path = os.path.join(one.root, str(entry))
        base = os.path.basename(path)
        if base.endswith(".pth") and os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                for line in map(str.strip, file):
                    if line and not line.startswith(("#", "import ", "import\t")):
                        yield from _importable(os.path.join(one.root, line))
        elif base.startswith("__editable__") and base.endswith(".py"):
            for name, place in _mapping(path).items():
                module = name.replace(".", "/")
                yield module, place if os.path.isdir(place) else f"{place.removesuffix('.py')}.py"


def _mapping(path: str) -> dict[str, str]:
    """Return what setuptools' finder maps: packages and modules to their paths."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if isinstance(target, ast.Name) and target.id == "MAPPING":
            mapping: dict[str, str] = ast.literal_eval(node.value)
            return mapping
    return {}


def _importable(directory: str) -> Iterator[tuple[str, str]]:
    """Give what can be imported from a directory: modules, and directories that hold some."""
    if not os.path.isdir(directory):
        return
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if name in _LEFT_OUT or name.endswith((".egg-info", ".dist-info")):
            continue
        if os.path.isdir(path):
            is_importable = name.isidentifier() and any(file.endswith((".py", ".so")) for file in _walk(path))
        else:
            is_importable = name.endswith((".py", ".so")) and name != "setup.py"
        if is_importable:
            yield name, path


def _walk(directory: str) -> Iterator[str]:
    for place, below, files in os.walk(directory, followlinks=True):
        if "pyvenv.cfg" in files:
            below.clear()
            continue
        below[:] = sorted(name for name in below if name not in _LEFT_OUT and not name.endswith(".egg-info"))
        for name in sorted(files):
            path = os.path.join(place, name)
            if not name.endswith((".pyc", ".pyo")) and os.path.isfile(path):
                yield path
