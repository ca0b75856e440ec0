"""The worker's side of what programs are here: asked by the job service, beside what the worker is running."""

from __future__ import annotations

import asyncio
import os

from offload.commands.planning.fingerprints import look
from offload.errors import UnseenError
from offload.registry.deployments import Place
from offload.registry.scope import seen_here
from offload.registry.session import session_at_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from offload.commands.planning.fingerprints import Table
    from offload.jobs.commands.protocol import Look
    from offload.storage.home import Key


def search_path(path: str) -> str:
    """Return where commands that use the programs of this machine find them, given the ``PATH`` of their client."""
    return f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{path}"


async def tell(place: str, home: Key, asked: Look, dask_worker: Any = None) -> tuple[str, Table]:
    """Return the name of this machine, with the group of the worker, and what is here under names that are asked for.

    Parameters
    ----------
    place : str
        The deployment's directory.
    home : tuple of str
        Where results are kept: it remembers checksums.
    asked : Look
        What is asked for.
    dask_worker : Worker
        Given by Dask.
    """
    if not os.path.exists(Place(place).spec):
        raise UnseenError(f"{os.uname().nodename} does not see {place}", "")
    group = "" if dask_worker is None else str(dask_worker.name).rpartition("-")[0]
    where = os.uname().nodename if group in ("", "worker") else f"{os.uname().nodename} ({group})"
    return where, await asyncio.to_thread(_look, home, asked)


def _look(home: Key, asked: Look) -> Table:
    files = session_at_home(seen_here(home)).files
    return look(asked.programs, asked.words, search_path(asked.path), files)
