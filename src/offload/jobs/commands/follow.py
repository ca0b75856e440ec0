"""One job as a client sees it: what it writes, as it comes, and its end."""

from __future__ import annotations

import contextlib
import os

from offload.commands.result import load
from offload.commands.running.execution import Execution
from offload.commands.running.one import Computed
from offload.commands.running.spool import Spool
from offload.errors import NotFoundError, OffloadError, StorageError
from offload.storage.delivery import deliver_stored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.commands.running.sinks import Sink
    from offload.jobs.commands.protocol import News, Outcome
    from offload.registry.session import Session


class JobCancelledError(OffloadError):
    """Somebody has cancelled the job."""

    exit_code = 130


class Followed:
    """A job that a client follows.

    Parameters
    ----------
    job : int
        Its number.
    place : callable
        Gives the path of a file, where what it writes is too much for memory; gets ``"stdout"`` or ``"stderr"``.
    sinks : tuple of two Sink or None
        Get what comes of stdout and stderr at once.

    Attributes
    ----------
    taken : tuple of two int
        How much of either has come: a service that was started again goes on from there.
    state, reason, worker, outcome
        As in the last `News`.
    """

    __slots__ = ("_sinks", "_spools", "job", "outcome", "reason", "state", "worker")

    def __init__(
        self, job: int, place: Callable[[str], str], sinks: tuple[Sink | None, Sink | None] = (None, None)
    ) -> None:
        self.job = job
        self.state = ""
        self.reason = ""
        self.worker = ""
        self.outcome: Outcome | None = None
        self._sinks = sinks
        self._spools = Spool(lambda: place("stdout")), Spool(lambda: place("stderr"))

    @property
    def taken(self) -> tuple[int, int]:
        """How much has come of stdout and stderr."""
        return self._spools[0].size, self._spools[1].size

    def take(self, news: News) -> None:
        """Take in news, and pass on output.

        Raises
        ------
        BrokenPipeError
            When the reader of our own output went away.
        """
        self.state, self.reason = news.state, news.reason
        self.worker = news.worker or self.worker
        for which, piece in ((1, news.stderr), (0, news.stdout)):
            if piece:
                self._spools[which].write(piece)
                sink = self._sinks[which]
                if sink is not None and not sink(piece):
                    raise BrokenPipeError
        self.outcome = news.outcome

    def end(self, session: Session, directory: str | None = None) -> Computed:
        """Bring back the outputs of a job that has ended, and return what came of it.

        Parameters
        ----------
        session : Session
            Whose store has them.
        directory : str, optional
            Where they belong, if not in the current directory.

        Raises
        ------
        OffloadError
            Why it was not run, or its end is not known; if it was cancelled; if an output cannot be brought back.
        """
        outcome = self.outcome
        assert outcome is not None
        for spool in self._spools:
            spool.close()
        if outcome.cancelled:
            raise JobCancelledError(f"job {self.job} was cancelled")
        code, error = outcome.exit_code, outcome.error
        if code is None or (error is not None and not isinstance(error, StorageError)):
            raise error or OffloadError(f"how job {self.job} ended is not known", "offload logs")
        computed = Computed(Execution(code, outcome.started, outcome.seconds, *self._spools))
        computed.outcome, computed.unrecorded = outcome.outcome, outcome.unrecorded
        computed.strays, computed.problem = outcome.strays, error
        computed.job, computed.worker = self.job, self.worker
        if outcome.record is not None:
            _bring_back(outcome.record, session, directory)
        return computed


def _bring_back(data: bytes, session: Session, directory: str | None) -> None:
    record = load([data], session.store)[0]
    if record is None:
        raise OffloadError("what the command gave is not in the store (any more)", "run it again")
    if not record.outputs:
        return
    if directory is not None and not os.path.isdir(directory):
        raise NotFoundError(f"{directory}, where the outputs belong, is not there (any more)")
    with contextlib.chdir(directory or os.curdir):
        deliver_stored(record.outputs, session.files, session.store)
