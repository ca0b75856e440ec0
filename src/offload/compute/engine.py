"""Where batches run: the base of all engines, and the one that runs them in this process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future as PlainFuture

from offload.compute.worker import Batch, Outcome, run_batch

Done = Callable[[PlainFuture[list[Outcome]]], None]


class Engine(ABC):
    """Runs batches of calls, several at once."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many calls run at the same time."""

    @abstractmethod
    def submit(self, batch: Batch) -> PlainFuture[list[Outcome]]:
        """Begin to run a batch, and return the future of its outcomes."""

    @abstractmethod
    def close(self) -> None:
        """End everything that the engine started."""


class InlineEngine(Engine):
    """Runs each batch at once, in the calling thread: for tests, and for calls from within a call."""

    @property
    def slots(self) -> int:
        """One."""
        return 1

    def submit(self, batch: Batch) -> PlainFuture[list[Outcome]]:
        """Run the batch and return a future that is done."""
        future: PlainFuture[list[Outcome]] = PlainFuture()
        try:
            future.set_result(run_batch(batch))
        except Exception as exc:
            future.set_exception(exc)
        return future

    def close(self) -> None:
        """Nothing was started."""
