"""offload: Dask anywhere in one command; nothing computed twice.

    import offload

    @offload.task
    def area(radius): ...

    area(2.0)                       # computed at most once, recalled after
    futures = area.map(radii)       # on all cores, in batches
    offload.gather(futures)

Everything is loaded when it is first used, so ``import offload`` costs next to nothing.
"""

from offload._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.compute.commands.api import CommandResult, run
    from offload.compute.decorator import task
    from offload.compute.engine import EngineLostError, WorkerLostError
    from offload.compute.futures import Future, as_completed, gather
    from offload.compute.inputs import Directory, File
    from offload.compute.switch import off
    from offload.compute.tasks import Task
    from offload.compute.why import why
    from offload.deploy.client import client
    from offload.deploy.connection import connect
    from offload.deploy.deployment import Deployment
    from offload.errors import (
        CommandError,
        DecodeError,
        EffectWarning,
        EncodeError,
        IdentityError,
        NotFoundError,
        NotRecordedWarning,
        OffloadError,
        StorageError,
        UsageError,
    )
    from offload.identity.objects import register
    from offload.identity.shown import identity

_WHERE = {
    "CommandError": "offload.errors",
    "CommandResult": "offload.compute.commands.api",
    "DecodeError": "offload.errors",
    "Deployment": "offload.deploy.deployment",
    "Directory": "offload.compute.inputs",
    "EffectWarning": "offload.errors",
    "EncodeError": "offload.errors",
    "EngineLostError": "offload.compute.engine",
    "File": "offload.compute.inputs",
    "Future": "offload.compute.futures",
    "IdentityError": "offload.errors",
    "NotFoundError": "offload.errors",
    "NotRecordedWarning": "offload.errors",
    "OffloadError": "offload.errors",
    "StorageError": "offload.errors",
    "Task": "offload.compute.tasks",
    "UsageError": "offload.errors",
    "WorkerLostError": "offload.compute.engine",
    "as_completed": "offload.compute.futures",
    "client": "offload.deploy.client",
    "connect": "offload.deploy.connection",
    "gather": "offload.compute.futures",
    "identity": "offload.identity",
    "off": "offload.compute.switch",
    "register": "offload.identity.objects",
    "run": "offload.compute.commands.api",
    "task": "offload.compute.decorator",
    "why": "offload.compute.why",
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
    "register",
    "run",
    "task",
    "why",
]


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
