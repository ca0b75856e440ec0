"""Small projects on disk, before and after an edit, and the identities of their functions in fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PROGRAM = """
import importlib, json, sys, traceback
from offload.identity.functions.graph import Graph

options, jobs = json.load(sys.stdin)
results = {}
if "trace" in options:
    sys.settrace(lambda *_: sys.gettrace())
    sys.setprofile(lambda *_: None)
for name, directory, statements, subject in reversed(jobs) if "reversed" in options else jobs:
    before = set(sys.modules)
    sys.path.insert(0, directory)
    importlib.invalidate_caches()
    names = {}
    try:
        exec(statements, names)
        results[name] = Graph(eval(subject, names)).checksum
    except Exception as error:
        results[name] = "".join(traceback.format_exception(error))
    sys.path.remove(directory)
    for module in set(sys.modules) - before:
        if getattr(sys.modules[module], "__file__", None) is None or sys.modules[module].__file__.startswith(directory):
            del sys.modules[module]
sys.settrace(None)
sys.setprofile(None)
json.dump(results, sys.stdout)
"""


class Case(NamedTuple):
    """A project, an edit of it, and what stands for the function in question."""

    name: str
    files: Mapping[str, str]
    edit: Sequence[tuple[str, str, str]]
    subject: str = "f"
    statements: str = "from app import *; from app import f"


def case(
    name: str,
    app: str,
    *edit: tuple[str, str] | tuple[str, str, str],
    subject: str = "app.f",
    statements: str = "import app",
    **files: str,
) -> Case:
    """A project of ``app.py`` and other files (``a__b`` is ``a/b.py``); an edit is (old, new) or (file, old, new)."""
    texts = {"app": app, **files}
    full = [change if len(change) == 3 else ("app", *change) for change in edit]
    return Case(name, {key: textwrap.dedent(text) for key, text in texts.items()}, full, subject, statements)


def write(directory: Path, files: Mapping[str, str]) -> None:
    """Write the files of a project."""
    for name, text in files.items():
        path = directory / (name.replace("__", "/", 1) + ".py" if name != "pkg__init" else "pkg/__init__.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def edited(case: Case) -> dict[str, str]:
    """The files of a project after its edit."""
    files = dict(case.files)
    for name, old, new in case.edit:
        assert files[name].count(old) == 1, f"{case.name}: {old!r} stands {files[name].count(old)} times in {name}"
        files[name] = files[name].replace(old, new)
    return files


def identities(
    jobs: Iterable[tuple[str, Path, str, str]], seed: str = "0", options: Sequence[str] = ()
) -> dict[str, str]:
    """The checksums of functions, each from a project of its own, in one fresh process."""
    work = [(name, str(directory), statements, subject) for name, directory, statements, subject in jobs]
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM],
        input=json.dumps([list(options), work]),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": seed},
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found
