"""Who did it: the call, the import system, offload itself, or another thread."""

from __future__ import annotations

import sys
import threading

from offload.identity.libraries.distributions import PROJECT, origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType
    from typing import Any

_OFFLOAD = "offload"
# Loading code, and looking for it. The code of the project is followed, that of distributions has a version.
_LOADING = {"_find_and_load", "_fill_cache", "find_spec"}
_IMPORT_SYSTEM = {"importlib._bootstrap", "importlib._bootstrap_external", "_frozen_importlib"}
_METADATA = ("importlib.metadata", "linecache")
# They ask for the name of the machine, where a library is, or clean up after others.
_HARMLESS_PARENTS = {
    "ctypes.util",
    "joblib.externals.loky.backend.context",
    "joblib.externals.loky.backend.resource_tracker",
    "multiprocessing.resource_tracker",
    "platform",
    "uuid",
}
# Threads of these have work of their own, while calls run.
_BYSTANDERS = {"IPython", "_pydevd_bundle", "distributed", "ipykernel", "offload", "pydevd", "tornado", "zmq"}
_BYSTANDERS_NAMES = ("Dask-", "IO loop", "Profile")

_bases: set[CodeType] = set()


def runs_calls(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark the function of offload that calls the user's: what is done below it is the user's doing."""
    _bases.add(function.__code__)
    return function


def is_of_call() -> bool:
    """Tell whether what happens in this thread right now is the doing of the function that is being called.

    The innermost frame that is the project's, offload's or of the import system tells.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = _module(frame)
        if frame.f_code in _bases:
            return True
        if name.partition(".")[0] == _OFFLOAD:
            if not _is_between(name):
                return False
        elif name in _IMPORT_SYSTEM:
            if frame.f_code.co_name in _LOADING:
                return False
        elif name.startswith(_METADATA):
            return False
        elif is_projects(name):
            return True
        frame = frame.f_back
    return True


def asks_only() -> bool:
    """Tell whether a process is started right now that only asks for something about the machine."""
    return any(name in _HARMLESS_PARENTS for name in _modules())


def removes_tree() -> bool:
    """Tell whether files are opened right now just to remove them: by names within a directory that is not told."""
    return any(name in ("_rmtree_safe_fd", "_rmtree_safe_fd_step") for name in _functions_of("shutil"))


def spawns() -> bool:
    """Tell whether a descriptor is opened right now to give work to a new process."""
    return any(".popen_" in name for name in _modules())


def idle(thread: threading.Thread, top: FrameType) -> bool:
    """Tell whether a thread that is at a frame is known to run no code of the project, now or shortly before."""
    names: list[str] = []
    frame: FrameType | None = top
    while frame is not None:
        names.append(_module(frame))
        frame = frame.f_back
    if names[-2:] == ["multiprocessing.spawn", "__main__"]:  # the main thread of a worker: its command line
        names.pop()
    if any(name.partition(".")[0] != _OFFLOAD and is_projects(name) for name in names):
        return False
    return thread.name.startswith(_BYSTANDERS_NAMES) or any(name.partition(".")[0] in _BYSTANDERS for name in names)


def runs_projects_code(top: FrameType) -> bool:
    """Tell whether a thread that is at a frame runs code of the project."""
    frame: FrameType | None = top
    while frame is not None:
        name = _module(frame)
        if name.partition(".")[0] != _OFFLOAD and is_projects(name):
            return True
        frame = frame.f_back
    return False


def is_bystander(thread: threading.Thread) -> bool:
    """Tell whether a thread that no call has started is known to have nothing to do with any.

    Others may: they may belong to a pool that a library keeps.
    """
    if thread is threading.main_thread() or thread.name.startswith(_BYSTANDERS_NAMES):
        return True
    modules = _modules()
    if thread.name.startswith("asyncio_") and "socket" in modules:  # looks up an address for a loop
        return True
    return any(name.partition(".")[0] in _BYSTANDERS for name in modules if not _is_between(name))


def is_projects(name: str) -> bool:
    """Tell whether a module is the project's."""
    try:
        return origin(name) == PROJECT
    except Exception:  # whatever the finders of modules may raise
        return True


def _is_between(name: str) -> bool:
    """Tell whether a module of offload stands between a call and what it does: it watches, or loads for Python."""
    return name.startswith("offload.effects.") or name == "offload.util.bytecode"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _modules() -> list[str]:
    return [_module(frame) for frame in _frames()]


def _functions_of(module: str) -> list[str]:
    return [frame.f_code.co_name for frame in _frames() if _module(frame) == module]


def _frames() -> list[FrameType]:
    """Return the frames of this thread, down to the call."""
    frames = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code not in _bases:
        frames.append(frame)
        frame = frame.f_back
    return frames
