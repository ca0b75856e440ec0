"""Sending functions to workers so that they run what was identified, not what they would import."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from offload.errors import IdentityError
from offload.identity.graph import Graph

_lock = threading.Lock()


def pickled(function: Callable[..., Any], graph: Graph) -> bytes:
    """Return the pickled function, with the functions and classes of the project that it reaches by value.

    By reference, a worker would import the file as it is on disk by then, or without what was set after the import.

    Raises
    ------
    IdentityError
        If it cannot be pickled.
    """
    import cloudpickle
    from cloudpickle.cloudpickle import list_registry_pickle_by_value

    names = {node.label.partition(":")[0] for node in graph.nodes if node.kind in ("function", "class")}
    with _lock:
        known = list_registry_pickle_by_value()
        modules = [sys.modules[name] for name in sorted(names - {"__main__"} - known) if name in sys.modules]
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
        try:
            return bytes(cloudpickle.dumps(function, protocol=5))
        except Exception as exc:  # whatever the parts of the function may raise
            raise IdentityError(
                f"the function {getattr(function, '__qualname__', function)!s} cannot be sent to a worker: {exc}",
                "call it directly, or create what cannot be pickled inside it",
            ) from exc
        finally:
            for module in modules:
                cloudpickle.unregister_pickle_by_value(module)
