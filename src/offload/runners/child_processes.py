"""Processes that calls start themselves, as with `multiprocessing`: they may, and they end with their worker."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
from multiprocessing import spawn
from multiprocessing.reduction import ForkingPickler
from types import FunctionType
from typing import Any

from offload.commands.running.reaper import guardian
from offload.identity.values.pickled_code import dumps
from offload.transport.imports import program

PR_SET_PDEATHSIG = 1
_prepared = spawn.get_preparation_data


def allow(guarded: bool = False) -> None:
    """Make this process, which a nanny has started, one whose calls may have processes of their own.

    What it starts ends with it, and it ends with its nanny, however they end: children of a call would go on where a
    worker is killed, and a worker whose code holds Python's lock cannot see that its nanny is gone.

    Parameters
    ----------
    guarded : bool
        Whether somebody else sees to the end of what it starts.
    """
    if guarded:
        os.setpgid(0, 0)
    else:
        if os.getsid(0) != os.getpid():
            os.setsid()
        guardian.prepare()
        guardian.watch(os.getpid())
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    setattr(ForkingPickler, "reducer_override", _by_value)  # noqa: B010 - the pickler looks for it
    setattr(spawn, "get_preparation_data", _with_the_users_main)  # noqa: B010


def _with_the_users_main(name: str) -> dict[str, Any]:
    """Return what a new process is told: of the main module, what is the user's, by its file, or nothing."""
    told = {key: value for key, value in _prepared(name).items() if not key.startswith("init_main")}
    script = program()
    if script is not None and script.package is None:
        told["init_main_from_path"] = script.path
    elif script is not None:
        told["init_main_from_name"] = sys.modules["__main__"].__spec__.name  # type: ignore[union-attr]
    return told


def _by_value(pickler: object, value: Any) -> Any:
    """Pickle functions and classes of the user's, which came with a call: no module here has them by their names."""
    if not isinstance(value, FunctionType | type) or _is_found(value):
        return NotImplemented
    return pickle.loads, (dumps(value),)


def _is_found(value: Any) -> bool:
    found: Any = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value
