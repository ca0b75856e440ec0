"""Where batches run: the base of all engines, and the one that runs them in this process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future as PlainFuture

from offload.errors import EngineLostError as EngineLostError  # pickles of earlier versions name them here
from offload.errors import WorkerLostError as WorkerLostError
from offload.runners.batch import run_batch
from offload.transport.batch import Batch
from offload.transport.outcome import Outcome
from offload.util.resources import Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.engines.errands import Errand, Told

Done = Callable[[PlainFuture[list[Outcome]]], None]


AGAIN = "submit again: what has been recorded is recalled, the rest runs anew"


class Engine(ABC):
    """Runs batches of calls, several at once.

    Attributes
    ----------
    resumes : bool
        Whether batches that are lost with the engine are to be sent to its successor.
    """

    resumes = False

    @abstractmethod
    def slots(self, resources: Resources = ()) -> int:
        """Return how many calls that need such resources run at the same time; one while there is no worker for them.

        Raises
        ------
        EngineLostError
            If the engine is gone.
        """

    @abstractmethod
    def submit(self, batch: Batch) -> PlainFuture[list[Outcome]]:
        """Begin to run a batch, and return the future of its outcomes.

        Raises
        ------
        EngineLostError
            If the engine is gone. It may also come as the future's exception, as may `WorkerLostError`.
        """

    def cancel(self, sent: PlainFuture[list[Outcome]], call: int) -> None:  # noqa: B027 - some can stop nothing
        """End one call of a batch, which nobody waits for any more; its outcome counts for nothing.

        The batch may fail with `TakenBackError` instead.

        Parameters
        ----------
        sent : Future
            What `submit` has returned for the batch.
        call : int
            Its place in the batch.
        """

    def exchange(self, asked: Errand) -> Told | str:
        """Exchange something with a process on the machine of a worker, or say why that cannot be."""
        return "nothing but calls runs there"

    @abstractmethod
    def close(self) -> None:
        """End everything that the engine started."""

    def kill(self) -> None:
        """End it without waiting for what is running."""
        self.close()

    def leave(self) -> None:  # noqa: B027 - most engines have nothing to let go of
        """Let go of it in a child of this process; the parent goes on using it."""


class InlineEngine(Engine):
    """Runs each batch at once, in the calling thread: for tests, and for calls from within a call."""

    def slots(self, resources: Resources = ()) -> int:
        """Return one."""
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
