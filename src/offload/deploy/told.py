"""How a child of the head learns that it is to end."""

from __future__ import annotations

import asyncio
import signal
import sys


async def until_told() -> None:
    """Wait for the end of standard input, or for SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    loop.add_reader(sys.stdin.fileno(), told.set)  # nothing is ever written to it: readable means ended
    try:
        await told.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
