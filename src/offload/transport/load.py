"""The worker's side: from what was sent, the function that was identified.

If it is another one here, nothing is executed: its result would be recorded under a wrong name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from typing import Any

from offload.errors import IdentityError, OffloadError
from offload.identity.functions.graph import Graph
from offload.identity.libraries import installed
from offload.transport import files as staged
from offload.transport.environment_error import other_environment
from offload.transport.imports import OtherModulesError
from offload.transport.loaded import Loaded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.identity.environment import Environment
    from offload.identity.files import File
    from offload.transport.batch import Batch
    from offload.transport.files import Sent

OWN_DIRECTORY = "calls-{}"
"""The directory of a process that runs calls, by its id, within that of its worker: files that calls may change."""


def own_directory(worker: str) -> str:
    """Return the directory of this process within that of its worker."""
    return os.path.join(worker, OWN_DIRECTORY.format(os.getpid()))


_functions: dict[tuple[str, bool], Loaded] = {}
_present: set[Environment] = set()  # found to be what this process has


def main_name() -> str:
    """Return what ``__main__`` goes by here: the name under which the script could be imported."""
    from offload.identity.references import reference_name

    return reference_name(sys.modules["__main__"])[0].removesuffix(":")


class OutdatedError(Exception):
    """Something was installed since this process has begun: one that begins now has to see whether it is needed."""


def check_environment(needed: Environment, where: str, leaves: bool = False) -> None:
    """Refuse what is identified by another environment, before anything of it is loaded.

    Parameters
    ----------
    needed : Environment
        What it is identified by.
    where : str
        What this process is called in messages.
    leaves : bool
        Whether there is another process to go to, for what was not found before to be here where installations have
        changed since: this process may have imported what is there no more.
    """
    if leaves and needed.distributions and needed._replace(settings=()) not in _present and installed.has_changed():
        raise OutdatedError
    if differences := missing(needed):
        raise other_environment(where, differences)


def missing(needed: Environment) -> list[str]:
    """Return what differs here from an environment that is needed; what is here is remembered."""
    needed = needed._replace(settings=())
    if needed in _present:
        return []
    from offload.identity.environment import lacking

    differences = lacking(needed)
    if not differences:
        _present.add(needed)
    return differences


def load(
    batch: Batch,
    where: str,
    reason: str = "it is not looked for",
    named: dict[tuple[str, str], str] | None = None,
    leaves: bool = False,
) -> Loaded:
    """Return a batch's function, which is the one that was identified.

    Parameters
    ----------
    batch : Batch
        The batch.
    where : str
        What this process is called in messages.
    reason : str
        Why its modules cannot be imported here. Where they can, and that gives another function, as it does where the
        program has changed them since, it goes by value.
    named : mapping, optional
        The checksums of classes and functions among the arguments that go by name.
    leaves : bool
        Whether there is another process to go to, for what is not by its names here what it was.
    """
    if not reason:
        loaded, reason = _by_name(batch, where, named or {}, leaves)
        if loaded is not None:
            return loaded
    if batch.payload.by_value is None:
        raise IdentityError(
            f"{batch.payload.refused}; nor is it to be had by its name: {reason}",
            "call it directly, or create what cannot be pickled inside it",
        )
    key = batch.function, False
    known = _functions.get(key)
    if known is None or not known.graph.is_current():
        if batch.main != main_name():
            # What the user's script defines is called here as it is there.
            sys.modules["__main__"].__spec__ = ModuleSpec(batch.main, None)
        known = _functions[key] = _loaded(batch, where, batch.payload.by_value, by_name=False)
    known.lacking = reason if batch.payload.sources else ""
    return known


_unnamed: dict[str, str] = {}  # functions that are others by their names, and why


def _by_name(batch: Batch, where: str, named: dict[tuple[str, str], str], leaves: bool) -> tuple[Loaded | None, str]:
    """Return a function by its name, or why it cannot be had so.

    Where a call has changed what it or its arguments reach, or a file was read while its module was imported, a process
    that has imported nothing may have it.
    """
    from offload.transport import imports

    known = _functions.get((batch.function, True))
    if known is not None:
        other = "" if known.graph.is_current() else "a call has changed what it reaches"
        other = other or imports.differing(named)
        if not other:
            return known, ""
        if leaves:
            raise OtherModulesError(other, worn=True)
        if all(way.by_value is not None for way in batch.ways):
            return None, other
        # What can go by name only runs as it is, and is not recorded.
        return Loaded(known.function, known.graph, known.declared, by_name=True, stale=True), ""
    if (reason := _unnamed.get(batch.function)) is not None:
        return None, reason
    leaves = leaves and not imports.is_fresh()
    loaded, reason = _imported(batch, where, named)
    if reason and leaves:
        raise OtherModulesError(reason, worn=False)
    if loaded is not None:
        _functions[batch.function, True] = loaded
    else:
        _unnamed[batch.function] = reason
    return (None if reason else loaded), reason


def _imported(batch: Batch, where: str, named: dict[tuple[str, str], str]) -> tuple[Loaded | None, str]:
    """Return a function by its name, and why this batch cannot have it so, which may be due to its arguments."""
    from offload.transport import imports

    assert batch.payload.by_name is not None
    try:
        with imports.importing(keeps=False):
            imports.prepare(batch.sources, batch.main)
            loaded = _loaded(batch, where, batch.payload.by_name, by_name=True)
            other = imports.differing(named)
    except BaseException as exc:  # whatever modules raise where they are imported, sys.exit included
        return None, exc.message if isinstance(exc, OffloadError) else f"{type(exc).__name__}: {exc}"
    return loaded, f"{other} is another one there" if other else ""


def _loaded(batch: Batch, where: str, data: bytes, by_name: bool) -> Loaded:
    """Unpickle a function, and see whether it is the one that was identified."""
    import pickle

    from offload.identity.files import noting

    function: Callable[..., Any]
    with noting() as met:
        function, theirs, modules, declared, puts = pickle.loads(data)
    if batch.files:
        place_files(batch, met, batch.files)
        declared = [*declared, *(file.path for file, _ in met)]
    if modules and not by_name:
        from offload.transport.modules import provide

        provide(modules)
    if puts:
        from offload.identity.libraries.patches import give

        give(puts)
    graph = Graph(function)
    if graph.checksum != batch.function:
        from offload.identity.functions.parts import different_parts, parts

        differences = "; ".join(different_parts(theirs, parts(graph)))
        raise IdentityError(
            f"the function {getattr(function, '__qualname__', function)!s} is not the same on {where} as here: "
            f"{differences or 'what it reaches has another order there'}",
            "a module may have been changed after its import: restart Python, and bring the deployment up again",
        )
    return Loaded(function, graph, declared, by_name)


def place_files(batch: Batch, met: Sequence[tuple[File, str]], files: Sequence[Sent]) -> list[Sent]:
    """Put files that were sent along where the calls of this process can read them."""
    from offload.registry.session import session_at_home

    if not batch.at_home:
        raise OffloadError(
            "this worker does not see the storage of its deployment, so it cannot get the files of the call",
            "give workers that others have started calls without offload.File",
        )
    return staged.place(met, files, session_at_home(batch.storage).store, own_directory(batch.directory))
