"""What became of a call, in a form that travels."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from offload.effects.record import Effects
    from offload.transport.exceptions import Raised


class Outcome:
    """What became of one call: a result's buffer or checksum, or an exception.

    Attributes
    ----------
    checksum : str or None
        Of the result.
    buffer : bytes or None
        The result, unless it lies in the store already.
    error : Raised or None
        What the call raised.
    started, seconds : float
        Unix time, and how long the function ran.
    cpu_seconds, peak_memory_bytes : float, int or None
        What it used, as far as that is known.
    changed : str or None
        What of all that the function reaches was changed while it ran, so that nothing is to be recorded.
    changed_file : str or None
        What file among those by which it was identified is not what it was, so that nothing is to be recorded.
    changes : tuple or None
        What it has changed of all that the function reaches, where that can be done again; see
        :mod:`offload.identity.values.mutations`.
    on_copies : bool
        Whether it has changed its arguments, which were copies: recalled, it changes nothing.
    difference : str or None
        That what is rebuilt from the result is another, so that nothing is to be recorded.
    effects : Effects or None
        What it did besides computing.
    unrecorded : str or None
        Why the result is not recorded, in words for the user.
    """

    __slots__ = (
        "buffer", "changed", "changed_file", "changes", "checksum", "cpu_seconds", "difference", "effects", "error",
        "on_copies", "peak_memory_bytes", "seconds", "started", "unrecorded",
    )  # fmt: skip

    def __init__(self, started: float) -> None:
        self.checksum: str | None = None
        self.buffer: bytes | None = None
        self.error: Raised | None = None
        self.changed: str | None = None
        self.changed_file: str | None = None
        self.changes: tuple[list[Any], str] | None = None
        self.on_copies = False
        self.difference: str | None = None
        self.effects: Effects | None = None
        self.unrecorded: str | None = None
        self.started = started
        self.seconds = 0.0
        self.cpu_seconds: float | None = None
        self.peak_memory_bytes: int | None = None

    def __reduce__(self) -> Any:
        # Of most calls there is little to tell, and of many calls, names and Nones would be most of what travels.
        few = self.started, self.seconds, self.checksum, self.buffer, self.cpu_seconds, self.peak_memory_bytes
        values = {name: value for name in _RARE if (value := getattr(self, name))}
        return _outcome, (*few, values) if values else few

    def fail(self, error: BaseException) -> None:
        """Note what was raised, with the place where it was raised."""
        from offload.transport.exceptions import Raised

        self.error = Raised(error)


_RARE = ("error", "changed", "changed_file", "changes", "on_copies", "difference", "effects", "unrecorded")


def _outcome(
    started: float,
    seconds: float,
    checksum: str | None,
    buffer: bytes | None,
    cpu_seconds: float | None,
    peak_memory_bytes: int | None,
    rare: dict[str, Any] | None = None,
) -> Outcome:
    """Return an outcome that has travelled."""
    outcome = Outcome(started)
    outcome.seconds, outcome.checksum, outcome.buffer = seconds, checksum, buffer
    outcome.cpu_seconds, outcome.peak_memory_bytes = cpu_seconds, peak_memory_bytes
    for name, value in (rare or {}).items():
        setattr(outcome, name, value)
    return outcome
