"""What became of a call, in a form that travels."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.compute.effects.found import Effects


class Outcome:
    """What became of one call: a result's buffer or checksum, or an exception.

    Attributes
    ----------
    checksum : str or None
        Of the result.
    buffer : bytes or None
        The result, unless it lies in the store already.
    error : bytes or None
        What the call raised, pickled.
    text : str
        Its traceback, for those who cannot load it.
    started, seconds : float
        Unix time, and how long the function ran.
    changed : str or None
        What of all that the function reaches was changed while it ran, so that nothing is to be recorded.
    effects : Effects or None
        What it did besides computing.
    """

    __slots__ = ("buffer", "changed", "checksum", "effects", "error", "seconds", "started", "text")

    def __init__(self, started: float) -> None:
        self.checksum: str | None = None
        self.buffer: bytes | None = None
        self.error: bytes | None = None
        self.changed: str | None = None
        self.effects: Effects | None = None
        self.text = ""
        self.started = started
        self.seconds = 0.0

    def raised(self) -> BaseException:
        """Return what the call raised."""
        import pickle

        try:
            error = pickle.loads(self.error or b"")
            if isinstance(error, BaseException):
                return error
            kind, args, state = error
            rebuilt: BaseException = kind.__new__(kind, *args)
            vars(rebuilt).update(state)
        except Exception:  # an exception's own pickling may raise anything
            return RuntimeError(self.text)
        return rebuilt


def fail(outcome: Outcome, error: BaseException) -> None:
    """Note what was raised, with the place where it was raised, in a form that travels."""
    import traceback

    outcome.text = "".join(traceback.format_exception(error))
    error.add_note("\nraised in the worker:\n" + outcome.text)
    # The second way is for exceptions whose constructor takes other arguments than `args` holds.
    outcome.error = _travelling(error) or _travelling((type(error), error.args, vars(error))) or b""


def _travelling(value: object) -> bytes | None:
    import pickle

    import cloudpickle

    try:
        data = bytes(cloudpickle.dumps(value))
        pickle.loads(data)
    except Exception:  # an exception's own pickling may raise anything
        return None
    return data
