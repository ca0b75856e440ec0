"""Python for the hosts: an interpreter for all users, wheels, and environments with the checkout's offload.

All of it is kept in ``.cache/lab`` of the checkout, by the hash of what it was made from; making it needs the network
once. The hosts, which have none, see that directory read only.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import time
import tomllib
from pathlib import Path

from tests.lab.machine import SYSTEM_PATH, LabError, NotHere, install

MORE = ("numpy",)  # in the environments beside what offload needs
HOST_VENV = "/shared/venv"
_CHECK = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"


class Environments:
    """What `prepare` has made: `python`, `laptop` and `hosts` (environments), `wheels`."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.cache = repository / ".cache/lab"
        self.cache.mkdir(parents=True, exist_ok=True)
        self._python: Path | None = None
        self._made: Path | None = None

    @property
    def python(self) -> Path:
        """A Python that every user can run, and that can make environments."""
        if self._python is None:
            self._python = _find_python()
        if self._python is None:
            install({"a Python for all users": "python3", "its venv": "python3-venv"})
            self._python = _find_python()
        if self._python is None:
            raise NotHere("the lab needs a Python 3.11 or newer with venv in /usr or /opt")
        return self._python

    @property
    def laptop(self) -> Path:
        """The environment for the laptop."""
        return self.prepare() / "laptop"

    def prepare(self) -> Path:
        """Make what is not there yet; return the directory of ``laptop``, ``hosts`` and ``wheels``."""
        if self._made is None:
            with (self.cache / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                base = self._base()
                self._made = self._with_offload(base)
            os.utime(self._made)
        return self._made

    def _base(self) -> Path:
        """Wheels and an environment of everything but offload, in the versions that run the tests."""
        project = tomllib.loads((self.repository / "pyproject.toml").read_text())
        wanted = [*project["project"]["dependencies"], *MORE]
        versions = sorted(
            f"{found.metadata['Name']}=={found.version}"
            for found in importlib.metadata.distributions()
            if found.metadata["Name"] not in ("offload", "pip", "setuptools")
        )
        exact = self._output(self.python, "-VV")
        base = self.cache / _digest(exact, str(self.python), *wanted, *versions, *project["build-system"]["requires"])
        if (base / "done").exists():
            return base
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir()
        (base / "versions.txt").write_text("\n".join(versions) + "\n")
        self._output(self.python, "-m", "venv", base / "venv")
        pip = (base / "venv/bin/python", "-m", "pip", "--disable-pip-version-check", "--no-input")
        wheels = base / "wheels"
        build = project["build-system"]["requires"]
        try:
            self._output(
                *pip,
                "download",
                "-q",
                "--only-binary=:all:",
                "-d",
                wheels,
                "-c",
                base / "versions.txt",
                *wanted,
                *build,
            )
        except LabError as error:
            raise NotHere(f"the wheels for the hosts could not be fetched: {error}") from error
        self._output(*pip, "install", "-q", "--no-index", "-f", wheels, *wanted)
        (base / "done").touch()
        return base

    def _with_offload(self, base: Path) -> Path:
        """The environments with offload installed from a fresh wheel of the checkout."""
        sources = [self.repository / name for name in ("pyproject.toml", "README.md", "LICENSE", "scripts/offload")]
        sources += [path for path in (self.repository / "src").rglob("*") if path.is_file() and path.suffix != ".pyc"]
        contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(sources)]
        made = base / _digest(*contents, *(str(path.relative_to(self.repository)) for path in sorted(sources)))
        if (made / "done").exists():
            return made
        for old in base.glob("*/done"):
            if old.parent.stat().st_mtime < time.time() - 86400:
                shutil.rmtree(old.parent)
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(base / "wheels", made / "wheels", copy_function=os.link)
        _relocate(base / "venv", made / "laptop", str(made / "laptop"))
        pip = (made / "laptop/bin/python", "-m", "pip", "--disable-pip-version-check", "--no-input")
        offline = ("-q", "--no-index", "-f", base / "wheels")
        self._output(*pip, "wheel", *offline, "--no-deps", "-w", made / "wheels", self.repository)
        self._output(*pip, "install", *offline, "--no-deps", *(made / "wheels").glob("offload-*.whl"))
        _relocate(made / "laptop", made / "hosts", HOST_VENV)
        (made / "done").touch()
        return made

    def _output(self, *words: str | os.PathLike[str]) -> str:
        done = subprocess.run(words, capture_output=True, text=True, timeout=600, umask=0o022, check=False)
        if done.returncode != 0:
            raise LabError(f"{' '.join(map(str, words))}: {done.stderr[-2000:]}")
        return done.stdout


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:12]


def _find_python() -> Path | None:
    """The first Python on the system's path that is new enough, complete, and readable by everybody."""
    names = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")
    for name in names:
        for directory in SYSTEM_PATH.split(":"):
            path = Path(directory, name)
            if not path.exists():
                continue
            real = path.resolve()
            open_to_all = all(parent.stat().st_mode & 0o001 for parent in real.parents)
            there = str(real).startswith(("/usr/", "/opt/"))
            if (
                open_to_all
                and there
                and subprocess.run([path, "-c", _CHECK], capture_output=True, check=False).returncode == 0
            ):
                return path
    return None


def _relocate(source: Path, target: Path, prefix: str) -> None:
    """Copy an environment, by links, to `target`, for use at the path `prefix`."""
    shutil.copytree(source, target, symlinks=True, copy_function=os.link)
    for path in (target / "bin").iterdir():
        if path.is_symlink():
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # a program
        mode = path.stat().st_mode
        path.unlink()  # it is a link: the other one stays as it is
        path.write_text(text.replace(str(source), prefix))
        path.chmod(mode)
