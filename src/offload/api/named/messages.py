"""What a process says to its partners of other environments, and they to it."""

from __future__ import annotations

from typing import Any, NamedTuple

from offload.errors import EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.effects.record import Effects
    from offload.identity.functions.graph import Graph
    from offload.transport.exceptions import Raised
    from offload.transport.sources import Sources

CALL, FRESH, SUBMIT, WHY = "call", "fresh", "submit", "why"
"""What is asked for: the value, recalled or computed at once; computed in any case; begun now; an explanation."""

_PLAIN = (type(None), bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset)


class Asked(NamedTuple):
    """Calls of one function.

    Attributes
    ----------
    number : int
        By which they are answered.
    what : str
        `CALL`, `FRESH`, `SUBMIT` or `WHY`.
    module, qualname : str
        The function's name.
    sources : Sources
        The files that have it, and the classes of arguments.
    main : str
        What ``__main__`` goes by.
    values : dict
        What `values_of` gave for it.
    rows : list of bytes
        The arguments of each call, pickled.
    variables : dict
        The environment variables.
    directory : str
        The current one.
    by_value : bytes or None
        What `offload.transport.pickling.whole_task` has made of it, where it is not to be had by its name.
    lost : bool
        Whether a process that was to make them has ended meanwhile.
    """

    number: int
    what: str
    module: str
    qualname: str
    sources: Sources
    main: str
    values: dict[tuple[str, str], str]
    rows: list[bytes]
    variables: dict[str, str]
    directory: str
    by_value: bytes | None = None
    lost: bool = False


class Cancelled(NamedTuple):
    """Says that nobody waits for a call any more; whether that is so although it runs."""

    number: int
    row: int
    running: bool


class Answer(NamedTuple):
    """What became of one of them.

    Attributes
    ----------
    number, row : int
        Which.
    data : object
        The buffer of its result; the explanation, where that was asked for.
    raised : Raised or None
        What it has raised.
    recalled : bool or None
        Whether the result was on record.
    transformation, effects, unrecorded
        As a future has them.
    """

    number: int
    row: int
    data: Any = None
    raised: Raised | None = None
    recalled: bool | None = None
    transformation: str | None = None
    effects: Effects | None = None
    unrecorded: str | None = None


def values_of(graph: Graph) -> dict[tuple[str, str], str]:
    """Return the checksums of plain values that a graph reaches in modules of the project, by module and name.

    Unlike code they are the same in each environment, unless the program has set them after their modules were
    imported: then they are to be had in no other process.
    """
    import sys

    from offload.identity.libraries.distributions import PROJECT, origin
    from offload.identity.values.encode import identify

    found = {}
    for names, name, value in graph._names:
        module = names.get("__name__") if isinstance(names, dict) else None
        if type(value) not in _PLAIN or not isinstance(module, str) or origin(module) != PROJECT:
            continue
        if getattr(sys.modules.get(module), "__dict__", None) is names:
            libraries: set[str] = set()
            try:
                checksum = identify(value, libraries)
            except EncodeError:  # it holds something that has no identity by itself
                continue
            if not libraries:
                found[module, str(name)] = checksum
    return found
