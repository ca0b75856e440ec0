"""The records that store and database take and give.

Plain classes: `dataclasses` and `typing` would cost a recalled command more than its look-ups.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Row:
    """Something with named values, compared and shown by them."""

    __slots__: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.__slots__))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({values})"


class Usage(Row):
    """What a store holds: the number of buffers, their bytes, and how many corrupt ones have been set aside."""

    __slots__ = ("buffers", "bytes", "corrupt")

    def __init__(self, buffers: int, bytes: int, corrupt: int = 0) -> None:
        self.buffers = buffers
        self.bytes = bytes
        self.corrupt = corrupt


class Collected(Row):
    """What a garbage collection removed and kept.

    ``leased`` counts buffers kept only because they are in use; ``leftovers``, removed files that were no buffers;
    ``adopted``, good buffers that the index did not know (any more). ``largest`` names some of what would
    be removed, where nothing is: lists of checksum and size.
    """

    __slots__ = ("buffers", "bytes", "kept_buffers", "kept_bytes", "leased", "leftovers", "adopted", "largest")

    def __init__(
        self,
        buffers: int,
        bytes: int,
        kept_buffers: int,
        kept_bytes: int,
        leased: int,
        leftovers: int = 0,
        adopted: int = 0,
        largest: Sequence[list[str | int]] = (),
    ) -> None:
        self.buffers = buffers
        self.bytes = bytes
        self.kept_buffers = kept_buffers
        self.kept_bytes = kept_bytes
        self.leased = leased
        self.leftovers = leftovers
        self.adopted = adopted
        self.largest = list(largest)


class Pruned(Row):
    """What a database dropped: runs of its history, and transformations whose results could not be recalled."""

    __slots__ = ("results", "runs")

    def __init__(self, runs: int, results: int) -> None:
        self.runs = runs
        self.results = results


class Entry(Row):
    """One execution of a transformation, to be recorded.

    Parameters
    ----------
    transformation : str
        Its checksum: that of `record`.
    kind : str
        ``"python"`` or ``"command"``.
    label : str
        What a person calls it: ``module:qualname``, or the command line.
    function : str or None
        Checksum of the function's closure; None for commands.
    record : bytes
        The canonical encoding of what makes the transformation.
    result : str
        Checksum of the result.
    status : str
        ``"complete"`` (all buffers are stored), ``"scratch"`` or ``"foreign"``.
    started : float
        Unix time, in seconds.
    seconds : float
        How long it took.
    details : bytes
        The encoding of where and how it ran.
    replace : bool
        The buffers of the recorded result are lost: a different result takes its place.
    """

    __slots__ = (
        "transformation", "kind", "label", "function", "record", "result",
        "status", "started", "seconds", "details", "replace",
    )  # fmt: skip

    def __init__(
        self,
        transformation: str,
        kind: str,
        label: str,
        function: str | None,
        record: bytes,
        result: str,
        status: str = "complete",
        started: float = 0.0,
        seconds: float = 0.0,
        details: bytes = b"",
        replace: bool = False,
    ) -> None:
        self.transformation = transformation
        self.kind = kind
        self.label = label
        self.function = function
        self.record = record
        self.result = result
        self.status = status
        self.started = started
        self.seconds = seconds
        self.details = details
        self.replace = replace


class Result(Row):
    """The result that a transformation has, and when it was recorded (Unix time)."""

    __slots__ = ("recorded", "result", "status")

    def __init__(self, result: str, status: str, recorded: float) -> None:
        self.result = result
        self.status = status
        self.recorded = recorded


class Transformation(Row):
    """A transformation, ``first_seen`` at a Unix time; its other values are as in `Entry`."""

    __slots__ = ("checksum", "first_seen", "function", "kind", "label", "record")

    def __init__(
        self, checksum: str, kind: str, label: str, function: str | None, record: bytes, first_seen: float
    ) -> None:
        self.checksum = checksum
        self.kind = kind
        self.label = label
        self.function = function
        self.record = record
        self.first_seen = first_seen


class Run(Row):
    """One execution in the history.

    ``outcome`` is what `record` said of it: recorded, same, irreproducible or replaced. ``forgotten`` tells that the
    transformation's result was dropped since. The other values are as in `Entry`.
    """

    __slots__ = (
        "id", "transformation", "kind", "label", "result", "status",
        "outcome", "started", "seconds", "details", "forgotten",
    )  # fmt: skip

    def __init__(
        self,
        id: int,
        transformation: str,
        kind: str,
        label: str,
        result: str,
        status: str,
        outcome: str,
        started: float,
        seconds: float,
        details: bytes,
        forgotten: bool | int,
    ) -> None:
        self.id = id
        self.transformation = transformation
        self.kind = kind
        self.label = label
        self.result = result
        self.status = status
        self.outcome = outcome
        self.started = started
        self.seconds = seconds
        self.details = details
        self.forgotten = bool(forgotten)
