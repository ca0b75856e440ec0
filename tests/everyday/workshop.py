"""An environment of its own for the projects of a test, and what its owner does there: install, edit, run.

Build back ends are kept in ``.cache/everyday`` of the checkout; making it needs the network once.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
BACK_ENDS = (
    "cmake",
    "editables",
    "flit_core",
    "hatchling",
    "meson",
    "meson-python",
    "ninja",
    "pdm-backend",
    "poetry-core",
    "scikit-build-core",
    "setuptools>=70",
    "uv_build",
    "wheel",
)
MINUTES = 600.0


def back_ends() -> Path:
    """Return an environment that has the back ends; make it if it is not there."""
    digest = hashlib.sha256(" ".join((sys.executable, *BACK_ENDS)).encode()).hexdigest()[:12]
    cache = REPOSITORY / ".cache" / "everyday"
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / digest
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            run(sys.executable, "-m", "venv", "--clear", "--without-pip", place)
            pip(place, "install", "--prefer-binary", *BACK_ENDS)
            (place / "complete").touch()
    return place


def run(*words: str | Path, cwd: Path | None = None, **variables: str) -> str:
    """Run a program to its end and return what it prints; fail with what it says if it fails."""
    done = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=MINUTES,
        check=False,
    )
    return printed(done)


def printed(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a program has printed; fail with what it said if it has failed."""
    said = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert done.returncode == 0, f"{done.args} ended with {done.returncode}:\n{said}"
    return done.stdout


def pip(environment: Path, *words: str | Path, **variables: str) -> None:
    """Run pip for another environment."""
    python = environment / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "-q",
        "--disable-pip-version-check",
        "--python",
        python,
        *words,
        cwd=None,
        **variables,
    )


def site_packages(environment: Path) -> Path:
    """Return where an environment keeps what is installed in it."""
    return Path(sysconfig.get_path("purelib", "posix_prefix", {"base": str(environment)}))


@dataclasses.dataclass
class Workshop:
    """A virtual environment that has offload, its libraries and the back ends, and a log of what is executed.

    Attributes
    ----------
    place : Path
        The environment.
    home : Path
        Offload's home.
    log : Path
        A file to which the functions of projects append a word each time they are really executed.
    noted : str
        The same file, as those see it who execute.
    deployment : str
        Where the work of programs goes that are run here; empty: nowhere.
    """

    place: Path
    home: Path
    log: Path
    noted: str
    deployment: str = ""

    @classmethod
    def make(cls, directory: Path) -> Workshop:
        """Make one in a directory."""
        place = directory / "environment"
        run(sys.executable, "-m", "venv", "--without-pip", place)
        paths = (sysconfig.get_path("purelib"), site_packages(back_ends()), REPOSITORY / "src")
        (site_packages(place) / "0workshop.pth").write_text("".join(f"{path}\n" for path in paths))
        command = place / "bin" / "offload"
        command.write_text(f'#!/bin/sh\nexec {place}/bin/python -m offload "$@"\n')
        command.chmod(0o755)
        log = directory / "executed"
        log.touch()
        return cls(place, directory / "home", log, str(log))

    @property
    def python(self) -> Path:
        """The environment's Python."""
        return self.place / "bin" / "python"

    @property
    def variables(self) -> dict[str, str]:
        """What a program of the owner has in its environment."""
        paths = (self.place / "bin", back_ends() / "bin", os.environ["PATH"])
        found = {"OFFLOAD_HOME": str(self.home), "PATH": os.pathsep.join(map(str, paths))}
        return {**found, "OFFLOAD_DEPLOYMENT": self.deployment} if self.deployment else found

    def install(self, *words: str | Path) -> None:
        """Install with pip, from what is here only."""
        pip(self.place, "install", "--no-build-isolation", "--no-deps", "--no-index", *words, **self.variables)

    def program(self, *words: str | Path, cwd: Path | None = None, **variables: str) -> str:
        """Run a program as the owner does, and return what it prints; fail with what it says if it fails."""
        return run(*words, cwd=cwd, **{**self.variables, **variables})

    def run(self, *words: str | Path, cwd: Path | None = None, **variables: str) -> str:
        """Run the environment's Python."""
        return self.program(self.python, *words, cwd=cwd, **variables)

    def offload(self, *words: str | Path, cwd: Path | None = None, **variables: str) -> str:
        """Run the command ``offload`` of the environment."""
        return self.run("-m", "offload", *words, cwd=cwd, **variables)

    def executed(self) -> list[str]:
        """Return what has been executed since this was asked last, sorted."""
        words = self.log.read_text().split()
        self.log.write_text("")
        return sorted(words)


def answers(text: str) -> dict[str, object]:
    """Return what a script printed in its last line, as JSON."""
    found: dict[str, object] = json.loads(text.splitlines()[-1])
    return found


def edit(file: Path, old: str, new: str) -> None:
    """Replace a text that stands once in a file, as an editor does: by a new file.

    Its time is two seconds later, or Python itself would take the old bytecode for that of a file of the same size.
    """
    text = file.read_text()
    assert text.count(old) == 1, f"{file}: {old!r} stands {text.count(old)} times"
    fresh = file.with_name(f".{file.name}.swp")
    fresh.write_text(text.replace(old, new))
    before = file.stat()
    os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns + 2_000_000_000))
    fresh.replace(file)
