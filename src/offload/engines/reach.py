"""Whether a scheduler reaches a worker that reports to it: what such a worker computes could be fetched by nobody.

A worker connects to its scheduler, gets calls over that connection, and says where it listens; results are fetched
from there. Behind a firewall, with an address of another network or with a certificate that is no server's, it would
compute, and whoever waits would ask for the result again and again, for ever.
"""

from __future__ import annotations

import ast
import asyncio

from distributed import Scheduler

from offload.engines.worker_start import REFUSED, cause_of

SECONDS, LONGEST = 10.0, 15.0
"""In which a worker has to take a connection, and to say who it is."""


async def unreached(scheduler: Scheduler, address: str) -> str:
    """Return why a worker is not reached; "" if it is. The connection is kept, for what comes next."""
    try:
        async with asyncio.timeout(LONGEST):
            comm = await scheduler.rpc.connect(address, SECONDS)
    except OSError as exc:  # a time limit, too
        cause = cause_of(exc)
        if isinstance(cause, TimeoutError):
            return "nothing answers there: is there a firewall, or is it an address of another network?"
        return " ".join(str(cause).split()) or type(cause).__name__
    scheduler.rpc.reuse(address, comm)
    return ""


def refusal(address: str, why: str) -> str:
    """Return what a worker is told that is not reached."""
    return f"the scheduler does not reach this worker at {address}, where its results would be fetched: {why}"


def refused(text: str) -> str:
    """Return what a scheduler has told a worker that it refused, by Dask's words for that; those, if they are others.

    >>> refused("ValueError: Unexpected response from register: {'status': 'error', 'message': 'name taken, a'}")
    'name taken, a'
    >>> refused("ValueError: another one")
    'ValueError: another one'
    """
    try:
        return str(ast.literal_eval(text.partition(f"{REFUSED}: ")[2])["message"])
    except (ValueError, SyntaxError, KeyError, TypeError):
        return text
