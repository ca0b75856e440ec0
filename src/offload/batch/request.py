"""What a batch system is asked for: one job, in words that all of them have."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping

from offload.errors import UsageError
from offload.util.quantities import LEAST_MEMORY, too_little

PART = "%PART%"
"""Stands in a command for the number of the job in its array, or of the node in its allocation."""

LONGEST_NAME = 200
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]*")
_WORD = re.compile(r"[^\s\"'`\\;#]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_GPUS = re.compile(r"([\w.-]+:)?[1-9][0-9]*")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclasses.dataclass(frozen=True)
class JobRequest:
    """A job, as it is asked for. What is None comes from Dask's configuration, or is the batch system's choice.

    Attributes
    ----------
    name : str
        What the batch system calls it: letters, digits and ``_.+-``, a letter first.
    command : tuple of str
        The words to run; `PART` in them is replaced.
    cores : int or None
        Processors of each node; 1 where nobody says.
    memory : int or None
        Bytes of memory of each node.
    walltime : int or None
        Seconds that it may run.
    log : str or None
        Absolute path of the file for what it writes. Its directory has to be there: most batch systems end a job at
        once, without a word, where it is not. Of several nodes each has one of its own, with its number: ``x.0.log``.
    queue : str or None
        The partition, or queue.
    account, qos : str or None
        Who pays, and with which quality of service.
    constraint : str or None
        What nodes have to have, in the batch system's words.
    gpus : str or None
        Graphics processors of each node: a number, or ``a100:2`` where the batch system knows kinds.
    exclusive : bool
        Whether no other job may be on its nodes.
    nodes : int
        In one allocation; the command is started once on each of them, unless `everywhere` is False.
    everywhere : bool
        Whether each of several nodes runs the command, or only the first: the others are its to use.
    array : int or None
        So many equal jobs by one request. Each has a log of its own, with its number: ``x-0.log``.
    first : int
        The number of the first of them.
    requeue : bool or None
        Whether the batch system starts it again when its node fails, or when another job drives it out.
    directives : tuple of str or None
        More options, in the batch system's words, without their ``#SBATCH``.
    prologue : tuple of str or None
        Lines of shell before the command, such as ``module load ...``.
    environment : mapping
        Variables for the command. A batch system shows scripts to others: no secrets.
    scratch : str or None
        Becomes its TMPDIR, and is made where it runs; ``$USER`` and the like are replaced there.
    interface : str or None
        The network interface for Dask, which is for who makes the command: no batch system is told.
    """

    name: str
    command: tuple[str, ...]
    cores: int | None = None
    memory: int | None = None
    walltime: int | None = None
    log: str | None = None
    queue: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus: str | None = None
    exclusive: bool = False
    nodes: int = 1
    everywhere: bool = True
    array: int | None = None
    first: int = 0
    requeue: bool | None = None
    directives: tuple[str, ...] | None = None
    prologue: tuple[str, ...] | None = None
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    scratch: str | None = None
    interface: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.name) > LONGEST_NAME:
            raise UsageError(
                f"{self.name!r} cannot be the name of a job",
                f"use up to {LONGEST_NAME} letters, digits and _.+-, beginning with a letter",
            )
        if not self.command or not all(word.isprintable() for word in self.command):
            raise UsageError(f"{' '.join(self.command)!r} is no command for a job", "give words of plain text")
        for what in ("cores", "memory", "walltime", "nodes", "array"):
            number = getattr(self, what)
            if number is not None and number < 1:
                raise UsageError(f"a job with {what} = {number} is not possible", "give 1 or more")
        for what in ("queue", "account", "qos", "interface"):
            word = getattr(self, what)
            if word is not None and not _WORD.fullmatch(word):
                raise UsageError(f"{what} is {word!r}, which is no plain word")
        if self.gpus is not None and not _GPUS.fullmatch(self.gpus):
            raise UsageError(f"{self.gpus!r} is no number of GPUs", "write 2, or a100:2")
        if self.nodes > 1 and self.array is not None:
            raise UsageError("a job has several nodes, or is an array, not both")
        for path in (self.log, self.scratch):
            if path is not None and not (path.isprintable() and (os.path.isabs(path) or path.startswith("$"))):
                raise UsageError(f"{path!r} is no absolute path of plain text")
        if self.scratch is not None and re.search(r"[\"`\\]|\$\(", self.scratch):
            raise UsageError(f"{self.scratch!r} is no path", "variables are replaced in it, commands are not")
        for line in (*(self.directives or ()), *((self.constraint,) if self.constraint is not None else ())):
            if not line.strip() or not line.isprintable():
                raise UsageError(f"{line!r} is no option of a batch system", "give one a line, like --nodelist=n1")
        for line in self.prologue or ():
            if "\n" in line or "\0" in line:
                raise UsageError(f"{line!r} is not one line of shell")
        for variable, value in self.environment.items():
            if not _VARIABLE.fullmatch(variable) or not value.isprintable():
                raise UsageError(f"{variable}={value!r} is no variable of plain text")


def parse_walltime(text: str, *, alone: str | None = None, pair: str | None = None) -> int:
    """Return the seconds that a walltime stands for.

    Parameters
    ----------
    text : str
        Such as ``01:00:00``, ``2-12:00:00``, ``90m`` or ``2h``.
    alone : {"s", "m"}, optional
        What a number without a unit is; without this, it is refused, for batch systems differ.
    pair : {"hm", "ms"}, optional
        What ``A:B`` is: hours and minutes, or minutes and seconds.

    Raises
    ------
    UsageError
        If it is no walltime.

    Examples
    --------
    >>> parse_walltime("01:00:00"), parse_walltime("2-12:00:00"), parse_walltime("90m"), parse_walltime("1.5h")
    (3600, 216000, 5400, 5400)
    >>> parse_walltime("00:30", pair="hm")
    1800
    """
    wrong = UsageError(f"{text!r} is no walltime", "write it as 01:30:00, 2-12:00:00, 90m or 2h")
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd])?", text.strip())
    if found:
        unit = found[2] or alone
        if unit is None:
            raise wrong
        seconds = float(found[1]) * _UNITS[unit]
    else:
        found = re.fullmatch(r"(?:([0-9]+)-)?([0-9]+):([0-9]+)(?::([0-9]+))?", text.strip())
        if not found:
            raise wrong
        days, first, second = int(found[1] or 0), int(found[2]), int(found[3])
        if found[4] is not None:
            seconds = first * 3600 + second * 60 + int(found[4])
        elif found[1] is not None or pair == "hm":
            seconds = first * 3600 + second * 60
        elif pair == "ms":
            seconds = first * 60 + second
        else:
            raise wrong
        seconds += days * 86400
    if seconds < 1:
        raise wrong
    return int(seconds)


def parse_memory(text: str) -> int:
    """Return the bytes that an amount of memory stands for.

    Raises
    ------
    UsageError
        If it is none.

    Examples
    --------
    >>> parse_memory("54GB"), parse_memory("512 MiB"), parse_memory("1.5G")
    (54000000000, 536870912, 1500000000)
    """
    from dask.utils import parse_bytes

    try:
        if not re.fullmatch(r"\s*[0-9.]+\s*[a-zA-Z]*\s*", text) or (number := int(parse_bytes(text))) < 1:
            raise ValueError
    except ValueError:
        raise UsageError(f"{text!r} is no amount of memory", "write it as 54GB or 500MiB") from None
    if number < LEAST_MEMORY:
        raise too_little(text)
    return number


def walltime_text(seconds: int) -> str:
    """Return a walltime as all but LSF take it.

    Examples
    --------
    >>> walltime_text(5400), walltime_text(360000)
    ('01:30:00', '100:00:00')
    """
    return f"{seconds // 3600:02}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
