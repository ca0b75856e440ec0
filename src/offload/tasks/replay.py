"""What is kept of a call besides its identity, so that `offload verify` can run it again: code, and small arguments.

It is never looked at to recall a result. What is too large, or cannot be pickled, is not kept, and `verify` says so.
"""

from __future__ import annotations

from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from offload.identity.functions.graph import Graph

MOST_CODE = 1024 * 1024
"""Bytes of a pickled function, with the values that it reaches."""

MOST_VALUE = 4 * 1024
"""Bytes of an argument, with the code of its classes. For a larger one there is the checksum, perhaps of a result."""

_ATOMS = {type(None), bool, int, float, complex, str, bytes}


def code(graph: Graph) -> bytes | None:
    """Return a function with all that it reaches of the project, pickled; None where that is not kept."""
    from offload.errors import IdentityError
    from offload.transport.pickling import pickled

    if _least(graph) > MOST_CODE:
        return None
    try:
        return pickled(graph.root, graph, MOST_CODE)  # type: ignore[arg-type]
    except IdentityError:  # too large, or with something in it that cannot be pickled
        return None


def _least(graph: Graph) -> int:
    """Return how many bytes the functions of a graph take at least: to pickle thousands in vain takes seconds."""
    codes = (node.subject.__code__ for node in graph.nodes if isinstance(node.subject, FunctionType))
    return sum(len(code.co_code) + len(code.co_linetable) for code in codes)


def value(argument: Any) -> Any:
    """Return an argument as it is kept: a plain one as it is, others pickled in a list, or an empty list for none."""
    kind = type(argument)
    if kind in _ATOMS:
        if (kind in (str, bytes) and len(argument) > MOST_VALUE) or (
            kind is int and argument.bit_length() > MOST_VALUE
        ):
            return []
        return argument
    from offload.transport.pickling import dumps

    try:
        return [dumps(argument, limit=MOST_VALUE)]
    except Exception:  # whatever the parts of the value may raise
        return []


def restored(kept: Any) -> Any:
    """Return the argument that `value` gave this for."""
    if not isinstance(kept, list):
        return kept
    import pickle

    return pickle.loads(kept[0])
