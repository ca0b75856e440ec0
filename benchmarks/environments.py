"""Makes the Pythons that are compared: offload as a user installs it, and the peers in environments of their own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import BENCHMARKS, ROOT, BenchmarkError, Environment

PLACE = BENCHMARKS / ".venv"
SEAMLESS = "seamless-suite==1.4.3"


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"pip install {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")


def _make(name: str) -> Path:
    python = PLACE / name / "bin" / "python"
    if not python.exists():
        venv.create(PLACE / name, with_pip=True, clear=True)
    return python


def source() -> str:
    """A checksum of everything that goes into an installed offload."""
    total = hashlib.sha256()
    for path in sorted([*ROOT.glob("src/**/*"), *ROOT.glob("scripts/*"), ROOT / "pyproject.toml"]):
        if path.is_file() and "__pycache__" not in path.parts:
            total.update(f"{path.relative_to(ROOT)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def offload() -> Environment:
    """The environment of offload: not editable, reinstalled when the checkout has changed."""
    python = _make("offload")
    stamp = PLACE / "offload.stamp"
    current = source()
    if not stamp.exists() or stamp.read_text() != current:
        if stamp.exists():
            _pip(python, "--force-reinstall", "--no-deps", str(ROOT))
        _pip(python, str(ROOT))
        stamp.write_text(current)
    return Environment(python)


def versions(environment: Environment, names: Sequence[str]) -> dict[str, str]:
    """The versions of the distributions of these names that are installed there."""
    code = (
        "import json, sys, importlib.metadata as m\n"
        "found = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        "print(json.dumps({n: found[n] for n in sys.argv[1:] if n in found}))"
    )
    done = subprocess.run(
        [environment.python, "-c", code, *names], capture_output=True, text=True, timeout=60, check=True
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _has(environment: Environment, requirement: str) -> bool:
    name, _, version = requirement.partition("==")
    have = versions(environment, [name]).get(name)
    return have is not None and version in ("", have)


def peers(ours: Environment) -> tuple[Environment, Environment, list[str]]:
    """Install the peers: joblib, Dask (offload's version of it) and redun in one environment, Seamless in another.

    Returns
    -------
    environment of joblib, Dask and redun; environment of Seamless; what could not be installed, and why
    """
    problems: list[str] = []
    same = versions(ours, ["dask", "distributed"])
    common, seamless = _make("peers"), _make("seamless")
    dask = [*(f"{name}=={version}" for name, version in same.items()), "bokeh", "cryptography"]
    for python, wanted in ((common, ["joblib"]), (common, dask), (common, ["redun"]), (seamless, [SEAMLESS])):
        if all(_has(Environment(python), requirement) for requirement in wanted):
            continue
        try:
            _pip(python, *wanted)
        except (BenchmarkError, subprocess.TimeoutExpired) as error:
            problems.append(f"{' '.join(wanted)}: {error}")
            print(f"!!! PEER NOT INSTALLED: {problems[-1]}", file=sys.stderr)
    return Environment(common), Environment(seamless), problems
