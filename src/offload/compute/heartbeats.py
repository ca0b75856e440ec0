"""What Dask's workers log when their scheduler is gone: a line, without forty more of traceback."""

from __future__ import annotations

import logging

MISSED = "Failed to communicate with scheduler during heartbeat"


class Brief(logging.Filter):
    """Takes the traceback from a missed heartbeat, or the whole of it.

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
        if not str(record.msg).startswith(MISSED):
            return True
        record.exc_info = record.exc_text = None
        return self._tell


def shorten(tell: bool) -> None:
    """Shorten what the workers of this process log."""
    logger = logging.getLogger("distributed.worker")
    if not any(isinstance(known, Brief) for known in logger.filters):
        logger.addFilter(Brief(tell))
