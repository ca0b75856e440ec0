"""Whether modules of a project are imported for a call now: what they do then begins nothing, and waits for nobody.

Apart from :mod:`offload.transport.imports`, which imports them: who only asks needs nothing of that.
"""

from __future__ import annotations

import contextlib
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_state = threading.local()
_imports: list[set[int | None]] = []  # the threads (as the system calls them) that each import under way has found


def is_importing() -> bool:
    """Tell whether modules of a project are imported for a call, by this thread or by who has started it meanwhile."""
    return getattr(_state, "importing", False) or any(threading.get_native_id() not in there for there in _imports)


@contextlib.contextmanager
def noted() -> Iterator[None]:
    """Have it known that this thread imports modules of a project."""
    before, _state.importing = getattr(_state, "importing", False), True
    threads = {thread.native_id for thread in threading.enumerate()} | {threading.get_native_id()}
    _imports.append(threads)
    try:
        yield
    finally:
        _imports.remove(threads)
        _state.importing = before
