"""What Dask's workers log when their scheduler is gone, or when they close: a line at most, without a traceback."""

from __future__ import annotations

import logging

MISSED = "Failed to communicate with scheduler during heartbeat"
CLOSED = "Batched Comm Closed"
CUT_OFF = "Async instruction for"


class Brief(logging.Filter):
    """Takes the traceback from a missed heartbeat, a closed stream or a task that was cut off, or the whole of it.

    Parameters
    ----------
    tell : bool
        Whether the line is kept. Where the scheduler is of the same program, it is gone because that ends.
    """

    def __init__(self, tell: bool) -> None:
        super().__init__()
        self._tell = tell

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged."""
        if not str(record.msg).startswith((MISSED, CLOSED, CUT_OFF)):
            return True
        record.exc_info = record.exc_text = None
        return self._tell


STREAMS, TASKS = "distributed.batched", "distributed.worker.state_machine"


def shorten(tell: bool, loggers: tuple[str, ...] = ("distributed.worker", STREAMS)) -> None:
    """Shorten what the workers of this process log."""
    for name in loggers:
        logger = logging.getLogger(name)
        if not any(isinstance(known, Brief) for known in logger.filters):
            logger.addFilter(Brief(tell))
