"""``offload worker``: a Dask worker that outlives its scheduler.

A bare Dask worker closes, nanny and all, when the connection to its scheduler breaks. This loop reads where the
scheduler is now, works for it until it goes away, and tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from distributed.core import Status

from offload.commands.running.stale_scratch import temporary
from offload.deploy.config.spec import WORKER, Spec
from offload.deploy.endpoints import listening_address, ports_for_workers
from offload.deploy.services.dask import QuietWorker, dask_security
from offload.deploy.workers.discovery import InPlace, Whereabouts
from offload.engines import dask_settings
from offload.engines.nanny import WatchingNanny
from offload.engines.reach import refused
from offload.engines.worker_start import StartError, check_memory, plain
from offload.errors import OffloadError
from offload.registry.contact import Contact
from offload.registry.deployments import Place
from offload.util.resources import COMMANDS, PLAIN, Resources, parse_resources
from offload.util.stopping import when_told

FIRST_PAUSE, LONGEST_PAUSE, SCHEDULER_PAUSE = 0.2, 5.0, 0.05
CONNECT_SECONDS = 30.0
LOOK_SECONDS = 1.0  # between two looks, while it connects, whether the scheduler is elsewhere by now


class Stop:
    """Whether the loop is to end: on SIGTERM, on SIGINT, and, for one that a head started, when the head is gone."""

    def __init__(self, attached: bool) -> None:
        self._event = asyncio.Event()
        when_told(lambda _: self._event.set(), attached)

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


@dataclasses.dataclass(frozen=True)
class Settings:
    """What one worker is to be; None where the deployment's own choice counts."""

    name: str
    threads: int | None = None
    memory_limit: str | None = None
    nanny: bool | None = None
    scratch: str | None = None
    host: str | None = None
    resources: Resources = ()
    ports: tuple[int, int] | None = None


async def work(known: Whereabouts, settings: Settings, attached: bool = False) -> None:
    """Work for a deployment until told to stop, or it is brought down.

    Parameters
    ----------
    known : Whereabouts
        The deployment.
    settings : Settings
        What the worker is to be.
    attached : bool
        Whether to end when standard input does.

    Raises
    ------
    StartError
        If it cannot start, wherever the scheduler is; whoever keeps it up counts that, and tells the reason.
    """
    for remark in dask_settings.apply():
        say(remark)
    known.join()
    stop = Stop(attached)
    pause, told = FIRST_PAUSE, ""
    while not stop.is_told() and not known.is_over():
        try:
            contact, reason = await asyncio.to_thread(known.contact), "there is no scheduler yet"
        except OffloadError as exc:
            contact, reason = None, exc.message
        if contact is not None and contact.scheduler is not None:
            if not attached:
                say(f"{settings.name} on {os.uname().nodename} connects to {contact.scheduler}")
            try:
                async with _running(known, contact, settings, stop) as ended:
                    pause, told = FIRST_PAUSE, ""
                    say(f"{settings.name} works for {contact.scheduler}")
                    await _first(stop.wait(), ended())
                reason = f"{contact.scheduler} has gone away"
            except (OSError, TimeoutError) as exc:
                reason = f"{settings.name} does not get to {contact.scheduler}: {refused(str(exc))}"
        elif contact is not None and contact.state == "starting":
            pause = SCHEDULER_PAUSE
        if stop.is_told():
            break
        if reason != told:
            say(f"{reason}; trying again")
            told = reason
        await stop.wait(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    say(f"{settings.name} ends")


@contextlib.asynccontextmanager
async def _running(
    known: Whereabouts, contact: Contact, settings: Settings, stop: Stop
) -> AsyncIterator[Callable[[], Any]]:
    """Run a worker, under a nanny where that is chosen, and give what waits for its end."""
    whole = known.join()
    spec = whole.group(whole.group_of(settings.name))
    # Only its owner may look into the head's directory, and with it goes what a worker that is killed leaves there.
    heads = contact.head.get("scratch", "")
    options: dict[str, Any] = {
        "nthreads": settings.threads or spec.threads,
        "name": settings.name,
        "security": dask_security(known.keys),
        "memory_limit": settings.memory_limit or spec.memory_limit,
        "local_directory": settings.scratch or (heads if os.path.isdir(heads) else spec.scratch),
        "host": settings.host or listening_address(spec, contact.head["host"]),
        "protocol": "tls",
        "death_timeout": CONNECT_SECONDS,
        "resources": _resources(whole, settings) | ({COMMANDS: 1.0} if known.sees_files else {}),
    }
    watched = spec.nanny if settings.nanny is None else settings.nanny
    allowed = settings.ports or whole.ports
    if allowed is not None:
        ports = ports_for_workers(allowed, contact.addresses())
        options |= dict.fromkeys(("port", "worker_port") if watched else ("port",), ports)
    if watched:
        made: Any = WatchingNanny(contact.scheduler, worker_class=QuietWorker, **options)
    else:
        made = QuietWorker(contact.scheduler, **options)
    try:
        try:
            await begun(made.start(), _first(stop.wait(), moved(known, contact.scheduler)))
        except Exception as exc:
            raise plain(settings.name, exc) from exc
        pid = made.pid if watched else os.getpid()
        check_memory(settings.name, pid, made.memory_manager.memory_limit, watched)
        yield made.finished
        if watched and made.failure is not None:
            raise plain(settings.name, made.failure)
    finally:
        if made.status not in (Status.closed, Status.failed):
            # A nanny refuses to close while its worker starts, by an assertion; that worker ends with this process.
            with contextlib.suppress(AssertionError):
                await made.close(timeout=5)


async def begun(start: Awaitable[Any], unless: Awaitable[None]) -> None:
    """Wait for the start of a worker, unless something else comes first, which is why it is given up.

    Raises
    ------
    TimeoutError
        If it is given up.
    """
    starting, given_up = asyncio.ensure_future(start), asyncio.ensure_future(unless)
    try:
        await asyncio.wait((starting, given_up), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            given_up.result()
            raise TimeoutError("it is not waited for any longer")
        await starting
    finally:
        for task in (starting, given_up):
            task.cancel()
        await asyncio.gather(starting, given_up, return_exceptions=True)


async def moved(known: Whereabouts, scheduler: str | None) -> None:
    """Wait until the deployment has another scheduler than this, or none: the one that has gone away is not back."""
    while not known.is_over():
        await asyncio.sleep(LOOK_SECONDS)
        try:
            contact = await asyncio.to_thread(known.contact)
        except OffloadError:
            continue  # who would know does not answer: the scheduler may be there all the same
        if contact is None or contact.scheduler != scheduler:
            return


def _resources(spec: Spec, settings: Settings) -> dict[str, float]:
    """Return what a worker has; one of a group that has nothing special, or of the first, takes plain calls."""
    group = spec.group_of(settings.name)
    has = dict(settings.resources or parse_resources(spec.group(group).resources))
    return {**has, PLAIN: 1.0} if not has or (group == WORKER and not settings.resources) else has


async def _first(*waits: Any) -> None:
    """Wait until the first of several waits is over, and drop the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def main(arguments: list[str]) -> int:
    """Run ``python -m offload.deploy.workers.process PLACE NAME [--job | --node]``, as the head does.

    With ``--job`` as a job of its own; with ``--node`` on another node of the head's job, with which it ends.
    """
    place, name, *more = arguments
    known = InPlace(Place(place))
    try:
        if not more:
            asyncio.run(work(known, Settings(name), attached=True))
            return 0
        with temporary() as scratch:  # below TMPDIR, which is the job's
            asyncio.run(work(known, Settings(name, scratch=scratch), attached="--node" in more))
    except StartError as exc:
        sys.stderr.write(f"{exc.message}\n")
        logging.disable()  # these are to be its last words
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
