"""The environment of this process, made on the machine of a worker that lacks it, for the calls that need it."""

from __future__ import annotations

import os
from collections.abc import Callable

from offload.environments.installed import installed
from offload.environments.probe import look, no_python, wanted_version
from offload.environments.sync import made
from offload.environments.wanted import OWN, Needs, needs
from offload.environments.worker_host import Ask, WorkerHost
from offload.errors import OffloadError
from offload.notices import counted
from offload.transport.environment_error import Machine

VARIABLE = "OFFLOAD_MAKE_ENVIRONMENTS"
"""Set to ``0``, nothing is made: only what is there is used."""

Say = Callable[[str], None]


def needed_by_calls() -> tuple[Needs, Needs]:
    """Return what calls of this process need, and the same with the projects that are installed in place.

    These travel with the calls that reach them. With them, an environment is the one that `synced` makes, if no lock
    file says otherwise.
    """
    here = installed()
    return needs([one for one in here if one.source is None or one.key == OWN]), needs(here)


def make(ask: Ask, machine: Machine, say: Say) -> tuple[str, ...]:
    """Have the environment of this process on the machine of a worker, made unless it is there.

    Parameters
    ----------
    ask : callable
        Brings an exchange with a process to the worker, and its answer back.
    machine : Machine
        What lacks it.
    say : callable
        Is told each step.

    Returns
    -------
    tuple of str
        The names that it goes by, there and elsewhere; none where it is not there, and `VARIABLE` says so.

    Raises
    ------
    OffloadError
        If it cannot be made, with the reason and the next step.
    """
    wanted, whole = needed_by_calls()
    names = tuple(dict.fromkeys((wanted.name(), whole.name())))
    if machine.tried in names:
        raise OffloadError(
            f"the environment {machine.tried} there lacks it, too",
            "what is installed here has changed meanwhile, or cannot be brought elsewhere: offload environment diff",
        )
    with WorkerHost(machine.node, machine.worker, ask) as host:
        own = machine.base if machine.version == wanted_version() else ""
        looked = look(host, machine.home, name=names[0], chosen=own)
        if looked.ready is None and len(names) > 1:
            other = look(host, machine.home, name=names[1], chosen=own)
            looked = other if other.ready is not None else looked
        if looked.ready is not None:
            return names
        if os.environ.get(VARIABLE) == "0":
            return ()
        if looked.python is None:
            found = no_python(host, looked, own, "")
            raise OffloadError(
                found.message, f"get one there, without being root: uv python install {wanted_version()}"
            )
        if wanted.left_out:
            say(f"left out, for the operating system has not listed their files: {', '.join(wanted.left_out)}")
        made(host, looked, wanted, names[0], "sync", say, own)
        say(f"the environment is there: {counted(len(wanted.wanted), 'distribution')}")
    return names
