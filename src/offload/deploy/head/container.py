"""A head in a container ends with it: not every engine ends what else runs there when somebody kills the container."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from offload.util.liveness import is_alive
from offload.util.processes import family, kill, of_place

VARIABLE = "OFFLOAD_CONTAINER"
"""Set in a container: the directory of what started it."""

INTERVAL = 1.0


async def end_with_it(say: Callable[[str], None]) -> None:
    """Wait for the end of the container that this process is in, and end at once; return where it is in none.

    What then is left of its files may be nothing, so that no process could end in good order.
    """
    directory = os.environ.get(VARIABLE)
    if directory is None:
        return
    held = of_place(directory, os.path.join(directory, "hold.py"))
    while any(is_alive(pid, since) for pid, since in held.items()):
        await asyncio.sleep(INTERVAL)
    say("its container has been ended")
    members = family(os.getpid())
    members.pop(os.getpid(), None)
    kill(members, signal.SIGKILL)
    os._exit(1)
