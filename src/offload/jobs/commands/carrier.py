"""What brings jobs to workers: the base of all carriers, and Dask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future as PlainFuture
from typing import Any

from offload.engines.dask import DaskEngine
from offload.jobs.waits import FULL
from offload.storage.home import Key
from offload.util.resources import Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.commands.planning.fingerprints import Table
    from offload.jobs.commands.protocol import Look


class Carrier(ABC):
    """Has workers run jobs.

    The future of some jobs ends when a worker is through with them; or with `WorkerLostError`, or with
    `EngineLostError` when the carrier is gone with everything that it carried.
    """

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many commands can run at the same time; 0 while there are no workers.

        Raises
        ------
        EngineLostError
            If the carrier is gone.
        """

    @property
    def obstacle(self) -> str:
        """Why none of the workers that are there can run a command; "" where one can, or there are none."""
        return ""

    @property
    def holds(self) -> bool:
        """Whether nothing is to be carried as long as there is such an obstacle."""
        return False

    @abstractmethod
    def carry(self, jobs: Sequence[int], resources: Resources = ()) -> PlainFuture[Any]:
        """Have jobs run, one after the other, by a worker that has such resources.

        Raises
        ------
        EngineLostError
            If the carrier is gone.
        """

    @abstractmethod
    def drop(self, future: PlainFuture[Any]) -> None:
        """Let go of jobs that are not to be run, or have ended."""

    def look(self, asked: Look) -> list[tuple[str, Table]]:
        """Return what workers that can run commands tell of their programs, one of each machine."""
        return []

    def death_of(self, worker: str) -> str:
        """Return how a worker has ended; "" where nobody knows."""
        return ""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything, waiting for nothing."""


class DaskCarrier(Carrier):
    """Gives jobs to Dask as a task, which holds no more than the jobs' numbers and where their service is known.

    Parameters
    ----------
    engine : DaskEngine
        Connected.
    place : str
        The deployment's directory.
    home : tuple of str
        Where results are kept, as :attr:`offload.storage.home.Home.key` says it.
    scratch : str, optional
        Where workers make scratch directories.
    """

    def __init__(self, engine: DaskEngine, place: str, home: Key, scratch: str | None = None) -> None:
        self._engine = engine
        self._place = place
        self._home = home
        self._scratch = scratch

    @property
    def workers(self) -> int:
        """The number of threads of all workers."""
        return self._engine.threads

    @property
    def obstacle(self) -> str:
        """None of them sees the deployment's files, or all are paused."""
        unseeing, workers = self._engine.unseeing()
        if not workers or unseeing < workers:
            return f"{FULL}: their memory is nearly full" if self._engine.is_paused() else ""
        which = "the worker that is connected does not see" if workers == 1 else f"none of {workers} workers sees"
        return f"{which} {self._place} on its machine, as workers for commands must; calls run there"

    @property
    def holds(self) -> bool:
        """Whether Dask would give it to one of these all the same."""
        return not self._engine.declared

    def carry(self, jobs: Sequence[int], resources: Resources = ()) -> PlainFuture[Any]:
        """Submit a task."""
        from offload.jobs.worker.round import run

        name = f"offload-command-{jobs[0]}"
        return self._engine.start(
            run, self._place, tuple(jobs), self._home, self._scratch, name=name, resources=resources
        )

    def look(self, asked: Look) -> list[tuple[str, Table]]:
        """Ask them beside what they are running."""
        from offload.jobs.worker.programs import tell

        answers = self._engine.ask(tell, self._place, self._home, asked, resources=asked.resources)
        return sorted(answers)

    def drop(self, future: PlainFuture[Any]) -> None:
        """Release the task."""
        self._engine.release(future)

    def death_of(self, worker: str) -> str:
        """Return what its nanny has told."""
        return self._engine.death_of(worker)

    def close(self) -> None:
        """Close the engine."""
        self._engine.kill()
