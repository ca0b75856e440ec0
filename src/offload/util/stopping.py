"""How a service learns that it is to end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable


def when_told(stop: Callable[[str], object], attached: bool) -> None:
    """Have a function called when this process is to end, with what tells so; for the running event loop.

    Parameters
    ----------
    stop : callable
        Called for SIGTERM and SIGINT, each time.
    attached : bool
        Whether the end of standard input tells so, too: nothing is ever written to it, and whoever started this process
        has ended with its other end.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number.name)
    if attached:
        stream = sys.stdin.fileno()

        def ended() -> None:
            loop.remove_reader(stream)
            stop("who started it has let go of it")

        loop.add_reader(stream, ended)
