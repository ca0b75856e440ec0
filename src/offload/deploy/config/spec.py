"""What a deployment is to be: the choices that a user makes, checked, and kept beside it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from typing import Any

from offload.deploy.config.link import Link
from offload.environments.choice import is_image
from offload.errors import DamagedError, UsageError
from offload.registry.deployments import Place, check_name
from offload.storage.home import DEPLOYMENT, VARIABLES, Home
from offload.util.quantities import check_memory
from offload.util.resources import parse_resources

WILDCARD = "0.0.0.0"
"""Stands for every address of a machine, where a service listens."""

VERSION = 1
MOST_WORKERS = 10_000
_MEMORY = re.compile(r"auto|([0-9]+\.?|[0-9]*\.[0-9]+)\s*([kmgtp]i?)?b?", re.IGNORECASE)


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


LOCAL, PROCESS = "local", "process"
WORKER = "worker"
"""The group of workers that a spec describes itself."""

NOT_GROUPS = (WORKER, "head", "scheduler", "jobs", "storage")
HEAD_JOB = "head.json"
"""The file in a deployment's place that tells which job its head is."""


@dataclasses.dataclass(frozen=True)
class Spec:
    """The choices for one deployment.

    Attributes
    ----------
    name : str
        What it is called.
    workers : int
        Worker processes at the start. The default is one for each core.
    minimum : int
        Workers that there are always, where their number follows the work.
    maximum : int or None
        The most that there may be; None where their number is fixed, and `workers` counts.
    threads : int
        Threads of each worker.
    memory_limit : str
        Of each worker, as Dask takes it: ``"4GB"``, ``"auto"``, ``"0"`` for none.
    nanny : bool
        Whether a nanny watches over each worker and starts it again.
    host : str
        The address to listen on.
    port : int or None
        Of the scheduler; by default Dask's own where it is free.
    ports : (int, int) or None
        Every listening port comes from this range, where one is given: of services, workers and nannies.
    scratch : str or None
        Where workers keep temporary files.
    buffers, database : str or None
        Directory of the store, and file of the database, that all of it uses; None for those of the home.
    idle : float or None
        End when there was nothing to do for so many seconds, and nobody asked for anything.
    scheduler : str or None
        Address of a scheduler that someone else started, whose workers are used.
    tls_ca, tls_cert, tls_key : str or None
        Files for talking to that, where it speaks TLS.
    storage_only : bool
        Bring up storage without scheduler and workers.
    also : tuple of str
        Deployments whose storage is read through.
    advertise : str or None
        The address under which others reach what listens on `host`; None for `host` itself.
    workers_host : str or None
        The address under which workers reach it, where that is another one than that of clients.
    interface : str or None
        The network interface that all of it listens on, on whatever machine it is.
    provider : str
        What gives workers: ``"local"``, the head's machine; or a batch system, such as ``"slurm"``.
    keep : str
        What keeps the head alive: ``"process"``, or a batch system.
    environment : str or None
        The image that all of it runs in a container of, such as ``"container:IMAGE"``; None for this very Python.
    mounts : tuple of str
        Directories that are seen in that container under their own paths, beside those that always are.
    job, head_job : dict
        What was chosen of the jobs that are workers, and of the one that is the head.
    resources : dict
        What each worker has for calls that ask for it, as Dask counts it: ``{"GPU": 1}``.
    groups : dict
        More groups of workers: for each name the attributes in which they differ from those described here.
    link : Link or None
        Of a deployment on another machine: how it is reached from here. All else is decided there.
    """

    name: str = "local"
    workers: int = dataclasses.field(default_factory=cores)
    minimum: int = 0
    maximum: int | None = None
    threads: int = 1
    memory_limit: str = "auto"
    nanny: bool = True
    host: str = "127.0.0.1"
    port: int | None = None
    ports: tuple[int, int] | None = None
    scratch: str | None = None
    buffers: str | None = None
    database: str | None = None
    idle: float | None = None
    scheduler: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    storage_only: bool = False
    also: tuple[str, ...] = ()
    advertise: str | None = None
    workers_host: str | None = None
    interface: str | None = None
    provider: str = LOCAL
    keep: str = PROCESS
    environment: str | None = None
    mounts: tuple[str, ...] = ()
    job: dict[str, Any] = dataclasses.field(default_factory=dict)
    head_job: dict[str, Any] = dataclasses.field(default_factory=dict)
    resources: dict[str, float] = dataclasses.field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    link: Link | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        self._check_groups()
        for what in ("workers", "minimum", "maximum", "threads", "port"):
            number = getattr(self, what)
            if type(number) is not int and not (number is None and what in ("maximum", "port")):
                raise UsageError(f"{what} is {number!r}, which is no whole number")
        if self.workers < 0:
            raise UsageError(f"{self.workers} workers are not possible", "give 0 or more")
        if max(self.workers, self.maximum or 0) > MOST_WORKERS:
            raise UsageError(f"{max(self.workers, self.maximum or 0)} workers are too many", f"at most {MOST_WORKERS}")
        most = self.minimum if self.maximum is None else self.maximum
        if not 0 <= self.minimum <= most:
            raise UsageError(f"from {self.minimum} to {most} workers is not possible", "the smaller one comes first")
        if self.idle is not None and self.idle <= 0:
            raise UsageError(f"it cannot end after {self.idle:g} s of idleness", "give a time like 10m")
        for path in (self.buffers, self.database, self.scratch, *self.mounts):
            if path is not None and not (_is_absolute(path) and path.isprintable()):
                raise UsageError(f"{path!r} is no absolute path of plain text")
        if self.environment is not None:
            self.check_image(self.environment)
        if self.threads < 1:
            raise UsageError(f"{self.threads} threads are not possible", "give 1 or more")
        if not _MEMORY.fullmatch(str(self.memory_limit).strip()):
            raise UsageError(f"{self.memory_limit!r} is no amount of memory", "write it as 4GB or 500MiB, auto, or 0")
        check_memory(str(self.memory_limit))
        if not self.host or ":" in self.host:
            raise UsageError(f"{self.host!r} is no address to listen on", "give one IPv4 address, or a name")
        if self.host == WILDCARD and self.advertise in (None, WILDCARD):
            raise UsageError(f"{self.host} is every address: others have to know one of them", "add --contact ADDRESS")
        if self.workers_host is not None and self.keep != PROCESS:
            raise UsageError(
                "--workers-host is for a head on this machine: a job may be on any node", "leave it out, or --keep"
            )
        if self.workers_host == WILDCARD:
            raise UsageError(f"{WILDCARD} is every address: workers have to know one of them", "name that of the nodes")
        if self.port is not None and not 0 < self.port < 65536:
            raise UsageError(f"{self.port} is no port", "ports go from 1 to 65535")
        if self.ports is not None and self.ports[1] - self.ports[0] + 1 < self.ports_needed():
            few = f"{self.ports[0]}-{self.ports[1]} are too few ports"
            raise UsageError(f"{few}: up to {self.ports_needed()} are needed", "widen --ports, or give fewer --workers")
        if self.ports is not None and not 0 < self.ports[0] <= self.ports[1] < 65536:
            raise UsageError(f"{self.ports} is no range of ports", "ports go from 1 to 65535, the smaller one first")

    def ports_needed(self) -> int:
        """Return how many ports it listens on at its largest: those of services, and of workers and their nannies."""
        if self.storage_only:
            return 2
        if self.scheduler is not None:
            return 3
        groups = [self.group(name) for name in self.group_names()]
        return 4 + sum(group.most() * (2 if group.nanny else 1) for group in groups)

    def least(self) -> int:
        """Return how many workers there are at the start, those of further groups not counted."""
        return self.workers if self.maximum is None else self.minimum

    def most(self) -> int:
        """Return how many workers there may be, those of further groups not counted."""
        return self.workers if self.maximum is None else self.maximum

    def _check_groups(self) -> None:
        parse_resources(self.resources)
        for name in self.groups:
            if check_name(name) in NOT_GROUPS:
                raise UsageError(f"a group of workers cannot be called {name}", "choose another name")
            self.group(name)  # what is wrong with it is told by it
        if len(self.systems()) > 1:
            raise UsageError(f"workers by {' and by '.join(self.systems())} do not go together", "choose one of them")

    def group_names(self) -> list[str]:
        """Return which groups of workers there are; the first is the one that is described here itself."""
        return [WORKER, *self.groups]

    def group(self, name: str) -> Spec:
        """Return what is to be of a group of workers, as if there were no other."""
        return dataclasses.replace(self, ports=None, groups={}, **({} if name == WORKER else self.groups[name]))

    def with_group(self, name: str, **choices: Any) -> Spec:
        """Return the spec with other choices for a group."""
        if name == WORKER:
            return dataclasses.replace(self, **choices)
        return dataclasses.replace(self, groups={**self.groups, name: {**self.groups[name], **choices}})

    def group_of(self, worker: str) -> str:
        """Return the group of a worker, by its name."""
        prefix = worker.rpartition("-")[0]
        return prefix if prefix in self.groups else WORKER

    def systems(self) -> list[str]:
        """Return the batch systems that workers are jobs of."""
        providers = [self.provider, *(group.get("provider", self.provider) for group in self.groups.values())]
        return [name for name in dict.fromkeys(providers) if name != LOCAL]

    def check_image(self, environment: str) -> None:
        """Check that a choice of software is that of an image, and that this may run in a container of it.

        Raises
        ------
        UsageError
            If not.
        """
        if not is_image(environment):
            raise UsageError(
                f"environment {environment!r} is for other machines: on this one there is the Python that runs offload",
                "leave it out, or give an image that is here: container:IMAGE",
            )
        if self.systems() or self.keep != PROCESS:
            raise UsageError(
                f"{environment} is not for jobs of a batch system: its commands are not in the image",
                "--environment sync, or conda:NAME",
            )

    def home(self, path: str) -> Home:
        """Return the home in a directory, with the store, the database and what is read through that this chooses."""
        also = (*self.also, self.name) if self.link is not None else self.also
        return Home(path, self.buffers, self.database, ",".join(also))

    def clients_storage(self) -> tuple[str | None, str | None, str]:
        """Return what clients on its machine use: store, database and what is read through.

        Where the head is a job, it is on another node; SQLite's files are opened there alone.
        """
        if self.keep != PROCESS:
            return None, None, ",".join((*self.also, self.name))
        return self.buffers, self.database, ",".join(self.also)

    def to_json(self) -> str:
        """Return the text of the file that keeps the spec."""
        return json.dumps({"version": VERSION, **dataclasses.asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Return the spec that a file holds.

        Raises
        ------
        UsageError
            If a newer version wrote it.
        """
        values: dict[str, Any] = json.loads(text)
        version = values.pop("version")
        if version > VERSION:
            raise UsageError(f"the deployment {values.get('name')} was made by a newer offload", "update offload")
        if values["ports"] is not None:
            values["ports"] = tuple(values["ports"])
        values["also"] = tuple(values.get("also", ()))
        values["mounts"] = tuple(values.get("mounts", ()))
        if values.get("link") is not None:
            values["link"] = Link.from_values(values["link"])
        return cls(**values)


def _is_absolute(path: str) -> bool:
    return os.path.isabs(path) or path.startswith(DEPLOYMENT)


def spec_of(place: Place) -> Spec:
    """Return the spec that is kept in a place."""
    try:
        with open(place.spec, encoding="utf-8") as file:
            return Spec.from_json(file.read())
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise DamagedError(
            f"{place.spec} does not say what the deployment is to be",
            f"offload down {place.name}, or bring it up with its options: offload up {place.name} --workers N",
        ) from exc


def take_part(place: Place, through: bool = False) -> Spec:
    """Let this process, and those that it starts, keep results where a deployment does; return its spec.

    Parameters
    ----------
    place : Place
        The deployment.
    through : bool
        Whether to go through its storage service: files of SQLite are opened on one machine only.
    """
    spec = spec_of(place)
    there = DEPLOYMENT + place.name
    home = Home(place.home, there, there, "") if through else spec.home(place.home)
    for name in VARIABLES:  # what they say is for other processes
        os.environ.pop(name, None)
    os.environ.update(zip(VARIABLES, home.key, strict=True))
    return spec
