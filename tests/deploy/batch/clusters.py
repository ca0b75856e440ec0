"""Clusters for the contract of batch systems: real ones of the lab, and commands that play one."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from offload.batch import BatchSystem, JobRequest, JobState, Phase, batch_system
from offload.hosts.base import Site, quoted
from offload.hosts.local import Here
from tests.deploy.batch.fake import REASON
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import NotHere
from tests.lab.sge import Sge
from tests.lab.slurm import Slurm
from tests.requirements import requires

WITHIN = 60.0
_NOT_FOR_SGE = str.maketrans(":/@*\\? ", "-------")


class Counting(Site):
    """A site that remembers which commands were run."""

    name = "here"

    def __init__(self, site: Site) -> None:
        self._site = site
        self.ran: list[str] = []
        self.variables: dict[str, str] = {}

    def command(self, words: Sequence[str]) -> list[str]:
        asked = [word for word in words[4:] if word not in ("env", "-u") and "=" not in word and "_" not in word[:6]]
        self.ran.append(asked[0] if asked else words[0])
        quoted(words)  # what cannot go through any login shell is an error here, too
        return self._site.command(["env", *(f"{name}={value}" for name, value in self.variables.items()), *words])

    def close(self) -> None:
        self._site.close()


class OnHost(Here):
    """A host of the lab, as alice's terminal there."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def command(self, words: Sequence[str]) -> list[str]:
        return self._host.command(list(words), user="alice")


class Bare(Here):
    """A machine on which no batch system is installed; a directory for the few programs that it has."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for name in ("sh", "env", "grep", "cut", "cat", "id"):
            (directory / name).symlink_to(shutil.which(name) or name)

    def command(self, words: Sequence[str]) -> list[str]:
        return ["env", f"PATH={self._directory}", *words]


@dataclasses.dataclass
class Cluster:
    """A cluster that a test may use.

    Attributes
    ----------
    system : BatchSystem
        What is tested.
    site : Counting
        Where its commands run.
    directory : str
        For logs, the same on all nodes.
    nodes : tuple of str
        As the batch system writes them.
    waits : dict
        Parts of a request for a job that will wait for ever, and `reason`, which the system then gives.
    refused : dict
        Parts of a request that is refused, and `words`, what the system then says.
    unknown : str
        An id that it never gave.
    submit_by_hand : callable
        Submits a job of any name that sleeps.
    away : callable
        Stops it, and starts it again at the end of a block.
    as_root : callable
        Runs a command of the one who runs it.
    most : int
        So many commands may be run for one query.
    """

    system: BatchSystem
    site: Counting
    directory: str
    nodes: tuple[str, ...]
    waits: dict[str, Any]
    reason: str
    refused: dict[str, Any]
    words: str
    unknown: str
    submit_by_hand: Callable[[str], str]
    away: Callable[[], Any]
    as_root: Callable[[str], object]
    most: int = 1

    def request(self, name: str, *command: str, **values: Any) -> JobRequest:
        """A small job whose log is where `read` finds it."""
        values = {"cores": 1, "memory": 100 << 20, "walltime": 600, "log": f"{self.directory}/{name}.log", **values}
        return JobRequest(name, command, **values)

    def submit(self, name: str, *command: str, **values: Any) -> str:
        """Submit a small job; its id."""
        return self.system.submit(self.system.script(self.request(name, *command, **values)))

    def read(self, name: str) -> str:
        """The log of a job, as the nodes see it."""
        return self.site.run(["cat", f"{self.directory}/{name}.log"]).text

    def wait(self, job: str, *phases: Phase, reason: str = "") -> JobState:
        """Wait until a job is in one of these phases."""
        deadline = time.monotonic() + WITHIN
        while (state := self.system.query([job])[job]).phase not in phases or reason not in state.reason:
            assert time.monotonic() < deadline, f"{job} is {state}, not {phases} {reason}"
            time.sleep(0.1)
        return state

    def clean(self) -> None:
        """Leave no job behind."""
        self.site.variables.clear()
        self.system.cancel(list(self.system.mine("")))


@contextmanager
def real_slurm(lab: Lab) -> Iterator[Cluster]:
    """The lab's Slurm."""
    slurm = Slurm.up(lab)
    site = Counting(OnHost(lab.host("login")))

    @contextmanager
    def away() -> Iterator[None]:
        slurm.stop_controller()
        try:
            yield
        finally:
            slurm.start_controller()

    try:
        yield Cluster(
            system=batch_system("slurm", site),
            site=site,
            directory="/home/alice",
            nodes=("c1", "c2"),
            waits={"queue": "short", "walltime": 3600},
            reason="PartitionTimeLimit",
            refused={"queue": "nope"},
            words="invalid partition specified: nope",
            unknown="999999",
            submit_by_hand=lambda name: str(slurm.submit("sleep 100", f"--job-name={name}")),
            away=away,
            as_root=lambda command: slurm.run(command, user="root"),
        )
    finally:
        lab.reset()


@contextmanager
def real_sge(lab: Lab) -> Iterator[Cluster]:
    """The lab's Grid Engine."""
    sge = Sge.up(lab)
    site = Counting(OnHost(lab.host("login")))

    @contextmanager
    def away() -> Iterator[None]:
        sge.login.exec("kill $(pidof sge_qmaster); while pidof sge_qmaster > /dev/null; do sleep 0.05; done")
        try:
            yield
        finally:
            sge.login.exec("cd / && SGE_ROOT=/var/lib/gridengine SGE_CELL=default sge_qmaster > /dev/null")
            sge.wait_for_nodes()

    try:
        yield Cluster(
            system=batch_system("sge", site),
            site=site,
            directory="/home/alice",
            nodes=("c1", "c2"),
            waits={"cores": 8},
            reason='cannot run in PE "smp"',
            refused={"queue": "nope.q"},
            words='unknown queue "nope.q"',
            unknown="999999",
            submit_by_hand=lambda name: str(sge.submit("sleep 100", "-N", name.translate(_NOT_FOR_SGE))),
            away=away,
            as_root=lambda command: sge.run(command, user="root"),
            most=2,
        )
    finally:
        lab.reset()


COMMANDS = {
    "pbs": "qsub qstat qselect qdel",
    "torque": "qsub qstat qselect qdel",
    "moab": "msub showq canceljob",
    "lsf": "bsub bjobs bkill",
    "oar": "oarsub oarstat oardel",
    "htcondor": "condor_submit condor_q condor_rm condor_history",
}


class WithCommands(Here):
    """This machine, with more commands on its path."""

    def __init__(self, directory: Path) -> None:
        self._path = f"{directory}:{os.environ['PATH']}"

    def command(self, words: Sequence[str]) -> list[str]:
        return ["env", f"PATH={self._path}", "LOGNAME=me", *words]


@contextmanager
def fake(system: str, directory: Path) -> Iterator[Cluster]:
    """Commands of a batch system that is not there; see `fake`."""
    commands = directory / "commands"
    commands.mkdir()
    program = Path(__file__).parent / "fake.py"
    for name in COMMANDS[system].split():
        words = [sys.executable, "-S", "-E", str(program), system, name, str(directory)]
        (commands / name).write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        (commands / name).chmod(0o755)
    site = Counting(WithCommands(commands))
    made = batch_system(system, site)

    @contextmanager
    def away() -> Iterator[None]:
        (directory / "away").touch()
        try:
            yield
        finally:
            (directory / "away").unlink()

    by = "constraint" if system == "htcondor" else "queue"
    cluster = Cluster(
        system=made,
        site=site,
        directory=str(directory),
        nodes=("n1",),
        waits={by: "Never" if system == "htcondor" else "closed"},
        reason=REASON[system].strip("; "),
        refused={by: "nope(" if system == "htcondor" else "nope"},
        words="nope",
        unknown="Moab.999999" if system == "moab" else "999999.0" if system == "htcondor" else "999999",
        submit_by_hand=lambda name: made.submit(made.script(JobRequest("by-hand", ("sleep", "100")))),
        away=away,
        as_root=lambda command: None,
        most=1,
    )
    yield cluster


@contextmanager
def cluster_of(name: str, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Bring a cluster up for the tests of a module."""
    real = {"slurm": real_slurm, "sge": real_sge}
    if name in real:
        try:
            with real[name](request.getfixturevalue("lab_for_module")) as cluster:
                yield cluster
        except NotHere as error:
            requires(False, str(error))
    else:
        with fake(name, request.getfixturevalue("tmp_path_factory").mktemp(name)) as cluster:
            yield cluster


CLUSTERS = ("slurm", "sge", *COMMANDS)
