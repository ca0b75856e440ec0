"""An environment that runs says so: one that nobody has used for long is removed."""

from __future__ import annotations

import asyncio
import os
import sys

from offload.environments.payload.disk import MARK, USED

DAY = 86400.0


def mark_used() -> bool:
    """Say that the environment of this process is in use, if it is one that was made by offload; tell whether."""
    if not os.path.isfile(os.path.join(sys.prefix, MARK)):
        return False
    try:
        os.utime(os.path.join(sys.prefix, USED))
    except OSError:
        return False  # somebody else's: its owner says so
    return True


async def keep_used() -> None:
    """Say so every day."""
    while mark_used():
        await asyncio.sleep(DAY)
