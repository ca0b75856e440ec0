"""Functions of networkx that compile themselves when they are called first: ``argmap`` puts other code in their place.

What they do is told by the function that they wrap and by the mapping of arguments. Both stay as they are; the new code
has names in it that depend on what was called before.
"""

from __future__ import annotations

from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.identity.functions.graph import Graph

# What the first call leaves in the function, and in the class that counts such calls.
COMPILED = {"_code"}
COUNTER = "_argmap__count"


def rewrites_itself(function: FunctionType) -> bool:
    """Tell whether a function's code is not what it does, before its first call or after it."""
    return "__argmap__" in function.__dict__ and "__wrapped__" in function.__dict__


def source_contents(graph: Graph, function: FunctionType, label: str) -> list[object]:
    """Return what counts of such a function, in the form of all functions: code, defaults and reads."""
    graph.ask(_attributes, function)
    reads = []
    for name in ("__wrapped__", "__argmap__"):
        reads.append(["free", name, graph.describe(graph.look(function.__dict__, name), f"{label}: {name}")])
    return ["", [], [], reads]


def counts_calls(cls: type, name: str) -> bool:
    """Tell whether a member of a class is the number of functions that were compiled so far."""
    return name == COUNTER and cls.__name__ == "argmap"


def _attributes(function: FunctionType) -> int:
    return len(function.__dict__.keys() - COMPILED)
