"""Code of the project that a call has loaded while it ran, and that does not count: nobody would notice its edits."""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType

from offload.effects.attribution import is_projects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from offload.identity.functions.graph import Graph


def uncounted(loaded: Iterable[tuple[str, str]], graph: Graph) -> Iterator[tuple[str, str]]:
    """Give what of the code that was loaded does not count.

    Parameters
    ----------
    loaded : iterable of (str, str)
        Modules, and the name in each that was unpickled; an empty name where the module was imported.
    graph : Graph
        What counts.

    Yields
    ------
    (str, str)
        ``"module"`` or ``"class"``, and the dotted name.
    """
    if any(node.kind == "version" for node in graph.nodes):  # the user vouches for all code
        return
    counted = _counted(graph)
    for name, member in sorted(loaded):
        module = sys.modules.get(name)
        # What has no file was made by a program, and is followed as a value or not at all.
        if getattr(module, "__file__", None) is None or id(module) in counted or not is_projects(name):
            continue
        if not member:
            yield "module", name
            continue
        found: object = module
        for part in member.split("."):
            found = getattr(found, part, None)
        if id(found) not in counted:
            yield "class", f"{name}.{member}"


def _counted(graph: Graph) -> set[int]:
    """Return the ids of what a graph reaches, and of what the user has declared beside it."""
    from offload.identity.functions.identify import closure

    declared = [d for d in getattr(graph.root, "depends_on", ()) if isinstance(d, (type, FunctionType, ModuleType))]
    graphs = [graph, *map(closure, declared)]
    return {id(node.subject) for each in graphs for node in each.nodes} | set(map(id, declared))
