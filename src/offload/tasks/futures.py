"""Futures: results that are on their way."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Callable, Generator
from concurrent.futures._base import CANCELLED
from typing import Any, Generic, TypeVar

from offload.errors import DecodeError, EncodeError
from offload.tasks.results import from_buffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.effects.record import Effects
    from offload.tasks.outputs import Arrival
    from offload.transport.exceptions import Raised

T = TypeVar("T")


class Undecoded:
    """A result whose classes this process does not have: pickled, it is the result itself, where they are.

    Parameters
    ----------
    data : bytes
        Its buffer.
    transformation : str
        The call.
    """

    __slots__ = ("data", "transformation")

    def __init__(self, data: bytes, transformation: str) -> None:
        self.data = data
        self.transformation = transformation

    def __reduce__(self) -> Any:
        return from_buffer, (self.data, self.transformation)


class Future(concurrent.futures.Future[T], Generic[T]):
    """The result of a call that may still be running.

    It follows :class:`concurrent.futures.Future`, can be awaited, and can be an argument of another call.

    Attributes
    ----------
    transformation : str or None
        The checksum of the call, once its arguments are known.
    recalled : bool or None
        Whether the result was on record; None while that is not known.
    effects : Effects or None
        What the call did besides computing.
    arrival : Arrival or None
        Where the outputs of the call are put.
    unrecorded : str or None
        Why the result is not recorded, where that went wrong.
    undecoded : Undecoded or None
        The result, where it is one that this process cannot decode.
    on_cancel : callable or None
        Told when it is cancelled, and whether that is so although the call runs; for who sees to the call.
    """

    undecoded: Undecoded | None = None
    arrival: Arrival | None = None

    def __init__(self) -> None:
        super().__init__()
        # Few futures are waited for by a thread, and the deque for these is most of what an empty one takes.
        self._condition._waiters = []  # type: ignore[attr-defined]
        self.on_cancel: Callable[[bool], None] | None = None
        self.transformation: str | None = None
        self.recalled: bool | None = None
        self.effects: Effects | None = None
        self.unrecorded: str | None = None

    def __reduce__(self) -> Any:
        raise EncodeError(
            "a future is no value",
            "give its result: future.result(); or begin the call with .submit, which waits for it",
        )

    def cancel(self, *, running: bool = True) -> bool:
        """Give up the call, also while it runs: it is ended then, with all that it has started.

        A call that others wait for, too, goes on for them.

        Parameters
        ----------
        running : bool
            Whether to end a call that runs. If not, it goes on, and its result is recorded.

        Returns
        -------
        bool
            Whether it is cancelled: False where it has ended already, or goes on.
        """
        with self._condition:
            if self.done() or (self.running() and not running):
                return self.cancelled()
            self._state = CANCELLED  # where it is running, too, which the standard library does not allow
            super().set_running_or_notify_cancel()
            self._condition.notify_all()
        self._invoke_callbacks()  # type: ignore[attr-defined]
        if self.on_cancel is not None:
            self.on_cancel(running)
        return True

    def set_running_or_notify_cancel(self) -> bool:
        """Tell whether it is still wanted; it is running from then on. This may be asked again."""
        with self._condition:
            return self.running() or (not self.done() and super().set_running_or_notify_cancel())

    def set_result(self, result: T) -> None:
        """Set the result; used by offload itself. One that was cancelled meanwhile stays so."""
        try:
            super().set_result(result)
        except concurrent.futures.InvalidStateError:
            if not self.cancelled():
                raise
        else:
            self.on_cancel = None  # it may lead to the arguments, which are needed no more

    def set_exception(self, exception: BaseException | None) -> None:
        """Set what was raised; used by offload itself. One that was cancelled meanwhile stays so."""
        try:
            super().set_exception(exception)
        except concurrent.futures.InvalidStateError:
            if not self.cancelled():
                raise
        else:
            self.on_cancel = None  # it may lead to the arguments, which are needed no more

    def set_buffer(self, data: bytes | memoryview, recalled: bool) -> None:
        """Set the result from its buffer; used by offload itself."""
        self.recalled = recalled
        try:
            value = from_buffer(data, self.transformation or "", self.arrival)
        except Exception as exc:  # a DecodeError, or whatever a user's decode function raises
            if isinstance(exc, DecodeError):
                self.undecoded = Undecoded(bytes(data), self.transformation or "")
            self.set_exception(exc)
        else:
            self.set_result(value)

    def set_raised(self, raised: Raised) -> None:
        """Set what the call has raised; used by offload itself."""
        self.set_exception(raised.rebuilt())

    def result(self, timeout: float | None = None) -> T:
        """Return the result, waited for `timeout` seconds at most."""
        try:
            return super().result(timeout)
        finally:
            if self.effects is not None:
                from offload.effects.watch import note

                for kind, what in self.effects.undeclared:
                    note(kind, what)

    def __await__(self) -> Generator[Any, None, T]:
        return self._awaited().__await__()

    async def _awaited(self) -> T:
        import asyncio

        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not waiting.done():
                waiting.set_result(None)

        def ended(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before the call
                loop.call_soon_threadsafe(wake)

        self.add_done_callback(ended)
        try:
            await waiting
        except asyncio.CancelledError:
            self.cancel()
            raise
        if self.cancelled():
            raise asyncio.CancelledError
        # What a coroutine raises as StopIteration arrives as RuntimeError with that as its cause: Python sees to it.
        return self.result()
