"""Ending workers on the head's machine that are frozen, nanny and all: nobody else can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from offload.deploy.head.children import Child
from offload.deploy.head.clients import SchedulerLink
from offload.deploy.workers.groups import Groups

LOOK_EVERY = 10.0


async def end_frozen(link: SchedulerLink, groups: Groups, say: Callable[[str], None]) -> None:
    """End those that the scheduler has given up because not even their nannies answered, for as long as this runs.

    Parameters
    ----------
    link : SchedulerLink
        To a scheduler of offload's.
    groups : Groups
        All workers.
    say : callable
        Gets lines for the head's log.
    """
    ended: dict[str, int | None] = {}
    while True:
        await asyncio.sleep(LOOK_EVERY)
        await groups.status()  # which notes since when workers are not connected
        try:
            unreached: dict[str, str] = (await link.call("silence"))["unreached"]
        except (OSError, TimeoutError):
            continue  # the scheduler is being started again
        ended = {name: pid for name, pid in ended.items() if name in unreached}
        for name in unreached:
            child = groups.of(name).member(name)
            if isinstance(child, Child) and name not in ended:
                say(f"{name} is frozen, and so is its nanny: process {child.pid} is ended, and another one started")
                ended[name] = child.pid
                child.kill()
