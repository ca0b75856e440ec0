"""Clusters for the contract of batch systems: the real ones of the lab."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from offload.deploy.batch import BatchSystem, JobRequest, JobState, Phase, batch_system
from offload.deploy.sites.base import Site
from offload.deploy.sites.here import Here
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.slurm import Slurm


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
    """A machine on which no batch system is installed."""

    def command(self, words: Sequence[str]) -> list[str]:
        return ["env", "PATH=/nowhere", shutil.which("sh") or "sh", *words[1:]]


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
        deadline = time.monotonic() + 60
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


CLUSTERS = {"slurm": real_slurm}
