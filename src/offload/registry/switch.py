"""``offload.off``: tasks are plain functions while it holds, and nothing is recalled or recorded."""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "OFFLOAD_OFF"
"""Switches offload off for a whole process, where it is neither empty nor ``0``."""

_blocks: list[object] = []
_from_outside = os.environ.get(VARIABLE, "") not in ("", "0")


@contextlib.contextmanager
def off() -> Iterator[None]:
    """Have tasks be plain functions within a block: nothing is recalled, and nothing recorded.

    For tests and for looking for a mistake. Calls run in this process, in the thread that makes them, also those of
    ``submit`` and ``map``, whose futures are done at once. It holds for all threads of the process.
    ``OFFLOAD_OFF=1`` in the environment does the same from its start. Commands (`offload.run`) do not heed it.

    Examples
    --------
    >>> import offload
    >>> @offload.task
    ... def area(radius):
    ...     return 3 * radius**2
    >>> with offload.off():
    ...     area(2), area.submit(2).recalled
    (12, False)
    """
    mark = object()
    _blocks.append(mark)
    try:
        yield
    finally:
        _blocks.remove(mark)


def is_off() -> bool:
    """Return whether tasks are plain functions now."""
    return bool(_blocks) or _from_outside
