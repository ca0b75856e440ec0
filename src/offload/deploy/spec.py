"""What a deployment is to be: the choices that a user makes, checked, and kept beside it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from typing import Any

from offload.compute.places import Place, check_name
from offload.errors import DamagedError, UsageError
from offload.storage.home import BUFFERS, DATABASE, Home

VERSION = 1
MOST_WORKERS = 10_000


def parse_ports(text: str) -> tuple[int, int]:
    """Return the first and last port of ``A-B``, or of a single port.

    Examples
    --------
    >>> parse_ports("60001-61000"), parse_ports("8786")
    ((60001, 61000), (8786, 8786))
    """
    first, _, last = text.partition("-")
    if not first.isdigit() or (last and not last.isdigit()):
        raise UsageError(f"{text!r} is no range of ports", "write it as 60001-61000")
    low, high = int(first), int(last or first)
    if not 0 < low <= high < 65536:
        raise UsageError(f"{text!r} is no range of ports", "ports go from 1 to 65535, the smaller one first")
    return low, high


def parse_limits(text: str) -> tuple[int, int | None]:
    """Return the number of workers, or the least and the most of a range.

    Examples
    --------
    >>> parse_limits("4"), parse_limits("0-16")
    ((4, None), (0, 16))
    """
    first, dash, last = text.partition("-")
    if not first.isdigit() or bool(dash) != last.isdigit() or (dash and int(first) > int(last)):
        raise UsageError(f"{text!r} is no number of workers", "write 4, or 0-16 for as many as the work asks for")
    return int(first), int(last) if dash else None


_MEMORY = re.compile(r"auto|([0-9]+\.?|[0-9]*\.[0-9]+)\s*([kmgtp]i?)?b?", re.IGNORECASE)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """Return the seconds that a time stands for.

    Examples
    --------
    >>> parse_duration("30s"), parse_duration("1.5h"), parse_duration("90")
    (30.0, 5400.0, 90.0)
    """
    number, unit = (text[:-1], _UNITS[text[-1]]) if text[-1:] in _UNITS else (text, 1)
    if not number.replace(".", "", 1).isdecimal() or not number.isascii():
        raise UsageError(f"{text!r} is no length of time", "write it as 30s, 10m or 2h")
    return float(number) * unit


def duration_text(seconds: float) -> str:
    """Return a length of time in the largest unit that it is a number of.

    Examples
    --------
    >>> duration_text(30), duration_text(600), duration_text(5400)
    ('30 s', '10 min', '90 min')
    """
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds / size:g} {name}"
    return f"{seconds:g} s"


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


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

    def __post_init__(self) -> None:
        check_name(self.name)
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
        for path in (self.buffers, self.database, self.scratch):
            if path is not None and (not os.path.isabs(path) or not path.isprintable()):
                raise UsageError(f"{path!r} is no absolute path of plain text")
        if self.threads < 1:
            raise UsageError(f"{self.threads} threads are not possible", "give 1 or more")
        if not _MEMORY.fullmatch(str(self.memory_limit).strip()):
            raise UsageError(f"{self.memory_limit!r} is no amount of memory", "write it as 4GB or 500MiB, auto, or 0")
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
        most = self.workers if self.maximum is None else self.maximum
        return 4 + most * (2 if self.nanny else 1)

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
        return cls(**values)


def spec_of(place: Place) -> Spec:
    """Return the spec that is kept in a place."""
    try:
        with open(place.spec, encoding="utf-8") as file:
            return Spec.from_json(file.read())
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise DamagedError(
            f"{place.spec} does not say what the deployment is to be",
            f"offload down {place.name}, or bring it up with its options: offload up --name {place.name} --workers N",
        ) from exc


def take_part(place: Place) -> Spec:
    """Let this process, and those that it starts, keep results where a deployment does; return its spec."""
    spec = spec_of(place)
    names = ("OFFLOAD_HOME", BUFFERS, DATABASE)
    os.environ["OFFLOAD_HOME"] = place.home
    # What the environment says otherwise is for other processes.
    os.environ.pop(BUFFERS, None)
    os.environ.pop(DATABASE, None)
    os.environ.update(zip(names, Home(place.home, spec.buffers, spec.database).key, strict=True))
    return spec
