"""Where the work of an owner goes: to a deployment on this machine, over SSH, or on Slurm.

The other machines see none of the projects' files. They have offload and the libraries that projects use, in the
versions of the environment that runs the tests.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import importlib.metadata
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from tests.everyday.workshop import MINUTES, Workshop
from tests.lab.lab import Lab
from tests.lab.slurm import Slurm

LIBRARIES = ("Django", "ipykernel", "pandas", "pyarrow", "pydantic", "scikit-learn")
PLACES = {
    "here": ("local",),
    "ssh": ("ssh://alice@h1",),
    "slurm": ("slurm://alice@login", "--cores", "1", "--memory", "1500MB", "--walltime", "30m"),
}


@dataclasses.dataclass
class Laptop(Workshop):
    """A workshop on the laptop of a lab.

    Attributes
    ----------
    lab : Lab
        Whose laptop it is.
    """

    lab: Lab = dataclasses.field(kw_only=True)

    def program(self, *words: str | Path, cwd: Path | None = None, **variables: str) -> str:
        """Run a program on the laptop."""
        done = self.lab.run(words, cwd=cwd, env={**self.variables, **variables}, timeout=MINUTES)
        assert done.returncode == 0, (
            f"{words} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )
        return done.stdout


@contextlib.contextmanager
def up(place: str, workshop: Workshop, *options: str) -> Iterator[Workshop]:
    """Bring up a deployment with one worker for the programs of a workshop."""
    workshop.offload("up", *PLACES[place], "--name", "shop", "--workers", "1", *options)
    workshop.deployment = "shop"
    try:
        yield workshop
    finally:
        workshop.deployment = ""
        workshop.offload("down", "shop")


@contextlib.contextmanager
def elsewhere(place: str, lab: Lab) -> Iterator[Workshop]:
    """Bring up a deployment on hosts of a lab, for the programs of its laptop."""
    if place == "slurm":
        Slurm.up(lab)
    directory = lab.home / place
    directory.mkdir()
    made = Workshop.make(directory)
    log = lab.shared / f"executed-{place}"
    log.touch()
    log.chmod(0o666)
    laptop = Laptop(made.place, made.home, log, f"/shared/{log.name}", lab=lab)
    with up(place, laptop, "--environment", f"python:{_python(lab)}"):
        yield laptop


def _python(lab: Lab) -> str:
    """Return a Python for the hosts that has offload and the libraries."""
    place = "/shared/owner"
    if not (lab.shared / "owner").exists():
        lab.host("h1").exec([str(lab.python), "-m", "venv", "--without-pip", place])
        site = next((lab.shared / "owner" / "lib").glob("python3*/site-packages"))
        offload = lab.offload_venv / site.relative_to(lab.shared / "owner")
        libraries = Path("/shared/.lab") / _libraries(lab.environments.cache).relative_to(lab.environments.cache)
        (site / "0owner.pth").write_text(f"{offload}\n{libraries}\n")
    return f"{place}/bin/python"


def _libraries(cache: Path) -> Path:
    """Return a directory with the libraries and what they require, as they are installed here."""
    found = _required(LIBRARIES)
    versions = sorted(f"{one.metadata['Name']}=={one.version}" for one in found)
    place = cache / f"libraries-2-{hashlib.sha256(' '.join(versions).encode()).hexdigest()[:12]}"
    with open(cache / "libraries.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            for file in (file for one in found for file in one.files or ()):
                if ".." in file.parts or not Path(file.locate()).exists():  # scripts, and bytecode that was thrown away
                    continue
                target = place / "site-packages" / file
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(file.locate(), target)
            (place / "complete").touch()
    return place / "site-packages"


def _link(source: os.PathLike[str], target: Path) -> None:
    """Give a file a second name, or a copy where that lies on another disk."""
    if target.exists():  # two distributions list it
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)  # with its time, by which bytecode knows it


def _required(names: tuple[str, ...]) -> list[importlib.metadata.Distribution]:
    """Return distributions, and all that these require."""
    found: dict[str, importlib.metadata.Distribution] = {}
    left = list(names)
    while left:
        one = importlib.metadata.distribution(left.pop())
        if one.metadata["Name"] not in found:
            found[one.metadata["Name"]] = one
            required = map(Requirement, one.requires or ())
            left += [more.name for more in required if more.marker is None or more.marker.evaluate({"extra": ""})]
    return list(found.values())
