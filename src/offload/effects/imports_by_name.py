"""Modules of the project that a call imports by a name that it computes, and that were loaded before.

No audit event tells of these. But whoever imports a module that is loaded, in whatever way, asks its spec whether it is
just being initialised.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec

from offload.effects.attribution import is_projects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.identity.functions.graph import Graph

_IMPORTERS = ("__import__", "import_module", "locate", "resolve_name")
_known: set[str] = set()
_tell: list[Callable[[str], None]] = []


class _Asked(ModuleSpec):
    """The spec of a module, which tells that it is imported."""

    @property
    def _initializing(self) -> bool:
        for tell in _tell:
            tell(self.name)
        return bool(vars(self).get("_initializing"))

    @_initializing.setter
    def _initializing(self, value: bool) -> None:
        vars(self)["_initializing"] = value


def computes_names(graph: Graph) -> bool:
    """Tell whether code in a graph imports modules by names that it computes."""
    return any(what.startswith(_IMPORTERS) for found in graph.unfollowed.values() for what in found)


def named(graph: Graph) -> set[str]:
    """Return the modules that code in a graph imports by names that stand in it, and their packages."""
    names = {name for modules, name, _ in graph._names if modules is sys.modules and isinstance(name, str)}
    return {".".join(parts[: end + 1]) for parts in (name.split(".") for name in names) for end in range(len(parts))}


def listen(tell: Callable[[str], None]) -> None:
    """Have it told from now on when a module of the project is imported that is loaded already.

    Parameters
    ----------
    tell : callable
        Takes the name of the module; it is asked what that is to whom.
    """
    if not _tell:
        _tell.append(tell)
    for name, module in list(sys.modules.items()):
        if name not in _known:
            _known.add(name)
            spec = getattr(module, "__spec__", None)
            if type(spec) is ModuleSpec and name.partition(".")[0] != "offload" and is_projects(name):
                spec.__class__ = _Asked
