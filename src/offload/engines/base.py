"""Where batches run: the base of all engines, and the one that runs them in this process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future as PlainFuture

from offload.errors import OffloadError
from offload.runners.batch import Batch, run_batch
from offload.tasks.resources import Resources
from offload.transport.outcome import Outcome

Done = Callable[[PlainFuture[list[Outcome]]], None]


AGAIN = "submit again: what has been recorded is recalled, the rest runs anew"


class WorkerLostError(OffloadError):
    """A worker ended while it ran a batch, as it does when a call ends its process or takes all memory."""

    exit_code = 4


class UnseenError(OffloadError):
    """A worker does not see the files of its deployment, as workers for commands must.

    Parameters
    ----------
    message : str
        Which one.
    worker : str
        Its address.
    """

    def __init__(self, message: str, worker: str = "") -> None:
        super().__init__(message)
        self.worker = worker

    def __reduce__(self) -> tuple[type[UnseenError], tuple[str, str]]:
        return type(self), (self.message, self.worker)


class TakenBackError(OffloadError):
    """A batch has come back before any worker had it: some of its calls are wanted no more."""


class EngineLostError(OffloadError):
    """The engine is gone, with everything that it was running."""

    exit_code = 4


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
