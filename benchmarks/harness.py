"""What every benchmark uses: sizes, sides measured in turns, rows of the report."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

BENCHMARKS = Path(__file__).resolve().parent
ROOT = BENCHMARKS.parent
PATIENCE = 400.0  # seconds after which a side counts as hanging


class BenchmarkError(Exception):
    """A side failed or gave a wrong answer: its figure would mean nothing."""


@dataclass(frozen=True)
class Sample:
    """The figures of one side, in seconds, one per round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)


@dataclass(frozen=True)
class Row:
    """One line of the report: ours beside a peer's, and the budget, if there is one.

    Parameters
    ----------
    what, command
        What is measured, and how to measure it by hand.
    ours, theirs
        The figures of offload and of the peer; `theirs` is None when there is none.
    peer
        The name of the peer, empty for a figure without one.
    at_most
        The budget as a ratio of the medians, ours / theirs.
    at_most_seconds
        The budget as an absolute time.
    note
        What a reader must know to judge the row.
    unit
        Of the figures.
    """

    what: str
    command: str
    ours: Sample
    peer: str = ""
    theirs: Sample | None = None
    at_most: float | None = None
    at_most_seconds: float | None = None
    note: str = ""
    unit: str = "s"

    @property
    def ratio(self) -> float | None:
        return None if self.theirs is None else self.ours.median / self.theirs.median

    @property
    def verdict(self) -> str:
        """Whether the budget holds: `holds`, `DOES NOT HOLD`, `not measured` or `` (there is no budget)."""
        if self.at_most_seconds is not None:
            return "holds" if self.ours.median <= self.at_most_seconds else "DOES NOT HOLD"
        if self.at_most is None:
            return ""
        if self.ratio is None:
            return "not measured"
        return "holds" if self.ratio <= self.at_most else "DOES NOT HOLD"


@dataclass(frozen=True)
class Environment:
    """A Python with something installed, and where its commands are."""

    python: Path

    def command(self, name: str) -> str:
        return str(self.python.parent / name)


@dataclass
class Context:
    """What a benchmark is given: the environments, the sizes, a scratch directory.

    `peers` and `seamless` are None when they are not to be measured or could not be installed.
    """

    size: str
    scratch: Path
    offload: Environment
    peers: Environment | None = None
    seamless: Environment | None = None
    installed: set[str] = field(default_factory=set)

    def pick(self, full: int, quick: int, smoke: int) -> int:
        """The number for the size that this run has."""
        return {"full": full, "quick": quick, "smoke": smoke}[self.size]

    def directory(self, name: str) -> Path:
        """A new, empty directory; removed at the end of the run."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))

    def environ(self, home: Path, **more: str) -> dict[str, str]:
        """A small environment: the same for both sides, nothing of the caller's settings."""
        user = self.scratch / "user"
        user.mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "HOME": str(user), "OFFLOAD_HOME": str(home), **more}

    def side(
        self, environment: Environment, file: str, name: str, environ: Mapping[str, str], **arguments: object
    ) -> dict[str, float]:
        """Run one side of a benchmark file in a process of its own and return what it reports.

        Parameters
        ----------
        environment
            The Python that runs it.
        file, name
            The benchmark's ``__file__`` and the name given to `serve` there.
        environ
            The environment variables of the process.
        arguments
            Passed to the side's function.

        Returns
        -------
        dict of str to float

        Raises
        ------
        BenchmarkError
            When it fails or takes longer than `PATIENCE`.
        """
        module = f"benchmarks.{Path(file).stem}"
        command = [str(environment.python), "-m", module, name, json.dumps(arguments, default=str)]
        try:
            done = subprocess.run(
                command,
                env=dict(environ),
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(f"{Path(file).name} {name}: no answer in {PATIENCE:g} s") from error
        if done.returncode != 0:
            raise BenchmarkError(f"{Path(file).name} {name}: exit code {done.returncode}\n{done.stderr[-3000:]}")
        report: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return report


def serve(sides: Mapping[str, Callable[..., dict[str, float]]]) -> None:
    """The main program of a benchmark file: run the side that the command line names, report on stdout."""
    name, arguments = sys.argv[1:]
    report = sides[name](**json.loads(arguments))
    print()
    print(json.dumps(report))


def interleave(
    sides: Mapping[str, Callable[[], float]],
    rounds: int,
    warm_ups: int = 1,
    every: Mapping[str, int] | None = None,
) -> dict[str, Sample]:
    """Measure the sides in turns (A B A B ...), so that a drift of the machine meets all of them alike.

    Parameters
    ----------
    sides
        A function for each side; it returns seconds.
    rounds
        How often each is measured.
    warm_ups
        Rounds thrown away before.
    every
        Slow sides: measured in every n-th round only.
    """
    values: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(warm_ups):
        for measure in sides.values():
            measure()
    for number in range(rounds):
        for name, measure in sides.items():
            if number % (every or {}).get(name, 1) == 0:
                values[name].append(measure())
    return {name: Sample(tuple(figures)) for name, figures in values.items()}


def collect(sides: Mapping[str, Callable[[], dict[str, float]]], rounds: int) -> dict[str, dict[str, Sample]]:
    """Like `interleave`, for sides that report several named figures each; warm up inside the side."""
    values: dict[str, dict[str, list[float]]] = {name: {} for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            for figure, value in measure().items():
                values[name].setdefault(figure, []).append(value)
    return {name: {key: Sample(tuple(v)) for key, v in figures.items()} for name, figures in values.items()}


def timed(command: Sequence[str], environ: Mapping[str, str], cwd: Path) -> float:
    """The wall time of a command, from posix_spawn to its end, its output thrown away.

    posix_spawn, because what `subprocess` adds around a process would flatter every ratio.
    """
    path = shutil.which(command[0], path=environ["PATH"])
    if path is None:
        raise BenchmarkError(f"{command[0]}: not found")
    null = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    null += [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    before = os.getcwd()
    os.chdir(cwd)
    try:
        start = time.perf_counter()
        child = os.posix_spawn(path, list(command), dict(environ), file_actions=null)
        _, status = os.waitpid(child, 0)
        seconds = time.perf_counter() - start
    finally:
        os.chdir(before)
    if status != 0:
        output(command, environ, cwd)
        raise BenchmarkError(f"{shlex.join(command)}: status {status}")
    return seconds


def output(command: Sequence[str], environ: Mapping[str, str], cwd: Path) -> str:
    """The stdout of a command; BenchmarkError with its stderr when it fails."""
    done = subprocess.run(
        command,
        env=dict(environ),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode != 0:
        raise BenchmarkError(f"{shlex.join(command)}: exit code {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout


def check_recalls(run: Sequence[str], environ: Mapping[str, str], cwd: Path) -> None:
    """Be sure that this way of running commands recalls: a command that prints the time prints the same twice."""
    command = [*run, "date +%s%N"] if Path(run[0]).name == "seamless-run" else [*run, "date", "+%s%N"]
    first, second = output(command, environ, cwd), output(command, environ, cwd)
    if not first.strip() or first != second:
        raise BenchmarkError(f"{shlex.join(command)} does not recall: {first!r}, then {second!r}")


class Progress(AbstractContextManager["Progress"]):
    """Says on stderr what is being measured, and how long it took."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> Self:
        self.start = time.monotonic()
        print(f"{self.what} ...", file=sys.stderr, flush=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        print(f"{self.what}: {time.monotonic() - self.start:.1f} s", file=sys.stderr, flush=True)
