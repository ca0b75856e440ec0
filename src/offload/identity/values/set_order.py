"""The order in which the items of a set are written, where it matters: where what they hold is numbered as it is met.

A set gives them in another order in each process. They are sorted by what they would be written as, with names in
place of numbers.
"""

from __future__ import annotations

from types import CodeType

from offload.identity.functions.bytecode import inspect_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from offload.identity.values.encode import Encoder


def in_order(encoder: Encoder, items: Iterable[Any]) -> list[Any]:
    """Return the items of a set in an order that is the same in each process."""
    keyed: list[tuple[bytes, int, Any]] = []
    for item in items:
        trial = encoder.trial()
        trial.open, trial.depth = set(encoder.open), encoder.depth
        trial.write(item)
        keyed.append((b"".join(trial.chunks), len(keyed), item))
    return [item for _, _, item in sorted(keyed)]


def sorting_name(value: Any) -> list[str]:
    """Return words by which a class, function or module is sorted among others: its name, and what its code is."""
    names = [type(value).__name__, getattr(value, "__qualname__", ""), str(getattr(value, "__name__", ""))]
    code = getattr(value, "__code__", None)
    if isinstance(code, CodeType):
        names.append(inspect_code(code).digest)
    return names
