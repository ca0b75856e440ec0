"""``offload worker``: a Dask worker that outlives its scheduler.

A bare Dask worker closes, nanny and all, when the connection to its scheduler breaks. This loop reads where the
scheduler is now, works for it until it goes away, and tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from distributed import Nanny
from distributed.core import Status

from offload.compute.contact import Contact
from offload.compute.places import Place
from offload.deploy.daskside import QuietWorker, dask_security
from offload.deploy.spec import spec_of, take_part

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
CONNECT_SECONDS = 30.0


class Stop:
    """Whether the loop is to end: on SIGTERM, on SIGINT, and, for one that a head started, when the head is gone."""

    def __init__(self, attached: bool) -> None:
        self._event = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._event.set)
        if attached:
            loop.add_reader(sys.stdin.fileno(), self._event.set)

    def is_told(self) -> bool:
        """Whether it has been told."""
        return self._event.is_set()

    async def wait(self, seconds: float | None = None) -> None:
        """Wait to be told, or for so many seconds."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)


def say(text: str) -> None:
    """Write a line to the log."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} offload worker: {text}\n")
    sys.stderr.flush()


async def work(place: Place, name: str, attached: bool) -> None:
    """Work for a deployment until told to stop.

    Parameters
    ----------
    place : Place
        The deployment.
    name : str
        The worker's name.
    attached : bool
        Whether to end when standard input does.
    """
    take_part(place)
    stop = Stop(attached)
    pause, told = FIRST_PAUSE, ""
    while not stop.is_told():
        contact = Contact.read(place.contact)
        if contact is None or contact.scheduler is None:
            reason = "there is no scheduler yet"
        else:
            try:
                async with _running(place, contact, name) as ended:
                    pause, told = FIRST_PAUSE, ""
                    say(f"{name} works for {contact.scheduler}")
                    await _first(stop.wait(), ended())
                reason = f"{contact.scheduler} has gone away"
            except (OSError, TimeoutError, RuntimeError) as exc:
                reason = f"{contact.scheduler} cannot be reached: {exc}"
        if stop.is_told():
            break
        if reason != told:
            say(f"{reason}; trying again")
            told = reason
        await stop.wait(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    say(f"{name} ends")


@contextlib.asynccontextmanager
async def _running(place: Place, contact: Contact, name: str) -> AsyncIterator[Callable[[], Any]]:
    """Run a worker, under a nanny where the spec says so, and give what waits for its end."""
    spec = spec_of(place)
    # Only its owner may look into the head's directory, and with it goes what a worker that is killed leaves there.
    runtime = contact.head["runtime"] if os.path.isdir(contact.head["runtime"]) else None
    options: dict[str, Any] = {
        "nthreads": spec.threads,
        "name": name,
        "security": dask_security(place.keys),
        "memory_limit": spec.memory_limit,
        "local_directory": spec.scratch or runtime,
        "host": spec.host,
        "protocol": "tls",
        "death_timeout": CONNECT_SECONDS,
    }
    if spec.nanny:
        made: Any = Nanny(contact.scheduler, worker_class=QuietWorker, **options)
    else:
        made = QuietWorker(contact.scheduler, **options)
    try:
        async with made:
            yield made.finished
    finally:
        if made.status not in (Status.closed, Status.failed):
            await made.close(timeout=5)


async def _first(*waits: Any) -> None:
    """Wait until the first of several waits is over, and drop the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def main(arguments: list[str]) -> None:
    """Run ``python -m offload.deploy.worker PLACE NAME``, as the head does."""
    asyncio.run(work(Place(arguments[0]), arguments[1], attached=True))


if __name__ == "__main__":
    main(sys.argv[1:])
