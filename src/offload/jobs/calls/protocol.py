"""What clients and the job service say to each other.

Messages are pickled: they carry the code of functions anyway, and only who has the deployment's token may send any.
"""

from __future__ import annotations

from typing import Any

from offload.effects.record import Effects
from offload.errors import UsageError
from offload.transport.exceptions import Raised
from offload.transport.function import ShippedFunction
from offload.transport.large_arguments import beside, dumps, loads

VERSION = 11


class SentCall:
    """A call on its way to the service, complete but for its result.

    Attributes
    ----------
    transformation : str
        Its checksum.
    record, details : bytes
        What the database is to keep of it.
    arguments : bytes, tuple, Ways or Staged
        As :func:`offload.transport.pickling.packed` gives them; with files among them, `Staged`.
    """

    __slots__ = ("arguments", "details", "record", "transformation")

    def __init__(self, transformation: str, record: bytes, details: bytes, arguments: Any) -> None:
        self.transformation = transformation
        self.record = record
        self.details = details
        self.arguments = arguments

    def __reduce__(self) -> Any:
        return SentCall, (self.transformation, self.record, self.details, beside(self.arguments))


class Submission:
    """Calls of one function.

    Attributes
    ----------
    function : ShippedFunction
        What is called.
    label : str
        Its ``module:qualname``.
    scratch : bool
        Whether the bytes of results are kept out of the store.
    calls : list of SentCall
        Any number.
    """

    __slots__ = ("calls", "function", "label", "scratch")

    def __init__(self, function: ShippedFunction, label: str, scratch: bool, calls: list[SentCall]) -> None:
        self.function = function
        self.label = label
        self.scratch = scratch
        self.calls = calls


class Leave:
    """Calls that a client does not wait for any more; what nobody else waits for, either, is ended.

    Attributes
    ----------
    running : bool
        Whether what runs is ended, too. If not, it goes on, and is recorded.
    calls : list of str
        Their transformations.
    """

    __slots__ = ("calls", "running")

    def __init__(self, running: bool, calls: list[str]) -> None:
        self.running = running
        self.calls = calls


class Parcel:
    """All that a client has to say at a time.

    Only the first parcel of a basket makes the service know the basket: a service that was started anew refuses the
    others, and the client sends what it waits for into another basket. A parcel that the service has got already, whose
    answer was lost, changes nothing.

    Attributes
    ----------
    basket : str
        Where the client will ask for the results; random.
    number : int
        Counts the parcels of the basket, from 0.
    leaves : list of Leave
        About calls of earlier parcels.
    submissions : list of Submission
        New calls.
    """

    __slots__ = ("basket", "leaves", "number", "submissions")

    def __init__(self, basket: str, number: int, leaves: list[Leave], submissions: list[Submission]) -> None:
        self.basket = basket
        self.number = number
        self.leaves = leaves
        self.submissions = submissions

    @property
    def calls(self) -> list[SentCall]:
        """All calls that are submitted."""
        return [call for one in self.submissions for call in one.calls]


class Delivery:
    """The end of one call: a result's buffer, or what it raised.

    Attributes
    ----------
    transformation : str
        Which call.
    data : bytes, memoryview or None
        The buffer; None where it failed.
    error : Raised or None
        What was raised, which the service passes on as it is.
    effects : Effects or None
        What it did besides computing.
    unrecorded : str or None
        Why the result is not recorded, where that went wrong.
    """

    __slots__ = ("data", "effects", "error", "transformation", "unrecorded")

    def __init__(
        self,
        transformation: str,
        data: bytes | memoryview | None,
        error: Raised | None,
        effects: Effects | None = None,
        unrecorded: str | None = None,
    ) -> None:
        self.transformation = transformation
        self.data = data
        self.error = error
        self.effects = effects
        self.unrecorded = unrecorded

    def __reduce__(self) -> Any:
        return Delivery, (self.transformation, beside(self.data), self.error, self.effects, self.unrecorded)


def dump(message: object) -> bytes:
    """Return a message's bytes."""
    return b"".join(chunks(message))


def chunks(message: object) -> list[bytes | memoryview]:
    """Return a message's bytes in chunks: large arguments and results as they lie, which are not copied."""
    return dumps((VERSION, message))


def load(data: bytes | memoryview) -> Any:
    """Return the message that bytes stand for.

    Raises
    ------
    UsageError
        If another version of offload has sent it.
    """
    version, message = loads(data)
    if version != VERSION:
        raise UsageError("client and job service are of different versions of offload", "update the older one")
    return message
