"""A batch system that another package brings along, installed in an environment, as its author would write it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

MODULE = '''
"""A batch system of one machine: a job is a process, and the directory of jobs is the queue."""

import os
import shlex
import subprocess

from offload.batch import BatchSystem, End, JobState, Phase
from offload.batch.state import UNKNOWN


class Spool(BatchSystem):
    name = "spool"
    title = "Spool"
    away = "(?!)"
    lacks = {"gpus": "there are none", "array": "submit the jobs one by one", "nodes": "there is one machine"}

    def _script(self, request):
        lines = ["#!/bin/sh", f"#SPOOL {request.name}", *(request.prologue or ())]
        lines += [f"export {name}={shlex.quote(value)}" for name, value in request.environment.items()]
        log = "" if request.log is None else f" >> {shlex.quote(request.log)} 2>&1"
        return "\\n".join([*lines, f"exec {shlex.join(request.command)}{log}", ""])

    def submit(self, script):
        keep = os.environ["SPOOL"]
        started = subprocess.Popen(["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        name = next(line[7:] for line in script.splitlines() if line.startswith("#SPOOL "))
        with open(os.path.join(keep, str(started.pid)), "w") as file:
            file.write(name)
        return str(started.pid)

    def query(self, jobs):
        return {job: self._state(job) for job in jobs}

    def _state(self, job):
        try:
            with open(f"/proc/{job}/stat") as file:
                ended = file.read().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            ended = True
        if ended:
            return JobState(Phase.ENDED, end=End.COMPLETED) if job in os.listdir(os.environ["SPOOL"]) else UNKNOWN
        return JobState(Phase.RUNNING, nodes="here")

    def cancel(self, jobs):
        for job in jobs:
            if not self._state(job).is_over:
                os.killpg(int(job), 15)

    def mine(self, label):
        keep = os.environ["SPOOL"]
        names = {job: open(os.path.join(keep, job)).read() for job in os.listdir(keep)}
        return {job: name for job, name in names.items() if name.startswith(label) and not self._state(job).is_over}
'''


class Environment:
    """An environment with offload and a package that brings batch systems along.

    Parameters
    ----------
    path : Path
        Where it is made.
    points : str
        Lines of entry points.
    module : str
        The text of its module ``spool``.
    """

    def __init__(self, path: Path, points: str, module: str = MODULE) -> None:
        venv.create(path / "env", with_pip=False, symlinks=True)
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        site = path / "env/lib" / version / "site-packages"
        (site / "offload.pth").write_text(f"{Path(__file__).parents[3] / 'src'}\n{sysconfig.get_paths()['purelib']}\n")
        (site / "spool.py").write_text(module)
        info = site / "spool-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spool\nVersion: 1.2\n")
        (info / "RECORD").write_text("spool.py,,\nspool-1.2.dist-info/METADATA,,\nspool-1.2.dist-info/RECORD,,\n")
        (info / "entry_points.txt").write_text(f"[offload.batch_systems]\n{points}\n")
        (path / "jobs").mkdir()
        self.python = str(path / "env/bin/python")
        self.around = {**os.environ, "OFFLOAD_HOME": str(path / "home"), "SPOOL": str(path / "jobs")}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run Python in it."""
        return subprocess.run(
            [self.python, *words], env=self.around, capture_output=True, text=True, timeout=240, check=False
        )


NAMES = """
from offload.batch import batch_system, system_names
print(system_names())
print(batch_system(system_names()[-1]).about())
"""


def test_one_is_found(tmp_path: Path) -> None:
    there = Environment(tmp_path, "spool = spool:Spool\nslurm = spool:Spool\nlocal = spool:Spool")
    names, about = there.run("-c", NAMES).stdout.splitlines()
    assert names.endswith("'htcondor', 'spool']") and "local" not in names  # and names of before keep their meaning
    assert about == "Spool"
    unknown = there.run("-m", "offload", "up", "sppol://")
    assert unknown.returncode == 1 and "htcondor://, spool://" in unknown.stderr


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ("spool = spool:Spol", "the batch system spool of spool 1.2 cannot be imported: AttributeError: "),
        ("spool = spool:os", "the batch system spool of spool 1.2 is not a subclass of BatchSystem: spool:os"),
    ],
)
def test_one_that_is_broken(tmp_path: Path, points: str, said: str) -> None:
    done = Environment(tmp_path, points).run("-m", "offload", "up", "spool://")
    assert done.returncode != 0 and said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.real
def test_one_is_used(tmp_path: Path) -> None:
    there = Environment(tmp_path, "spool = spool:Spool")
    try:
        up = there.run("-m", "offload", "up", "spool://", "--name", "own", "--workers", "1")
        assert up.returncode == 0, up.stderr
        done = there.run("-m", "offload", "run", "--on", "own", "--", "sh", "-c", "echo from a job")
        assert done.stdout == "from a job\n", done.stderr
        assert len(list((tmp_path / "jobs").iterdir())) == 1
    finally:
        down = there.run("-m", "offload", "down", "own")
    assert down.returncode == 0, down.stderr
