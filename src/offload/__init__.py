"""offload: Dask anywhere in one command; nothing computed twice.

    import offload

    @offload.task
    def area(radius): ...

    area(2.0)                       # computed at most once, recalled after
    futures = area.map(radii)       # on all cores, in batches
    offload.gather(futures)

Everything is loaded when it is first used, so ``import offload`` costs next to nothing.
"""

import sys

from offload._version import __version__
from offload.util import bytecode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

    from offload.api.client import client
    from offload.api.command import CommandResult, run
    from offload.api.connect import connect
    from offload.api.decorator import task
    from offload.api.deployment import Deployment
    from offload.api.task import Task
    from offload.api.why import why
    from offload.errors import (
        CommandError,
        DecodeError,
        EffectWarning,
        EncodeError,
        EngineLostError,
        IdentityError,
        NotFoundError,
        NotRecordedWarning,
        OffloadError,
        StorageError,
        UsageError,
        WorkerLostError,
    )
    from offload.identity.report import identity
    from offload.identity.values.objects import register
    from offload.registry.switch import off
    from offload.tasks.files import Directory, File
    from offload.tasks.futures import Future
    from offload.tasks.gather import as_completed, gather
    from offload.tasks.outputs import output

_WHERE = {
    "CommandError": "offload.errors",
    "CommandResult": "offload.api.command",
    "DecodeError": "offload.errors",
    "Deployment": "offload.api.deployment",
    "Directory": "offload.tasks.files",
    "EffectWarning": "offload.errors",
    "EncodeError": "offload.errors",
    "EngineLostError": "offload.errors",
    "File": "offload.tasks.files",
    "Future": "offload.tasks.futures",
    "IdentityError": "offload.errors",
    "NotFoundError": "offload.errors",
    "NotRecordedWarning": "offload.errors",
    "OffloadError": "offload.errors",
    "StorageError": "offload.errors",
    "Task": "offload.api.task",
    "UsageError": "offload.errors",
    "WorkerLostError": "offload.errors",
    "as_completed": "offload.tasks.gather",
    "client": "offload.api.client",
    "connect": "offload.api.connect",
    "gather": "offload.tasks.gather",
    "identity": "offload.identity",
    "off": "offload.registry.switch",
    "output": "offload.tasks.outputs",
    "register": "offload.identity.values.objects",
    "run": "offload.api.command",
    "task": "offload.api.decorator",
    "why": "offload.api.why",
}

__all__ = [
    "CommandError",
    "CommandResult",
    "DecodeError",
    "Deployment",
    "Directory",
    "EffectWarning",
    "EncodeError",
    "EngineLostError",
    "File",
    "Future",
    "IdentityError",
    "NotFoundError",
    "NotRecordedWarning",
    "OffloadError",
    "StorageError",
    "Task",
    "UsageError",
    "WorkerLostError",
    "__version__",
    "as_completed",
    "client",
    "connect",
    "gather",
    "identity",
    "off",
    "output",
    "register",
    "run",
    "task",
    "why",
]


class _Moved:
    """Finds modules by the names that they had in earlier versions; asked when nothing else knows a name."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        if not name.startswith("offload."):
            return None
        from offload.moved import find

        return find(name)


sys.meta_path.append(_Moved)
bytecode.doubt()


def __getattr__(name: str) -> object:
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module 'offload' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(module), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
