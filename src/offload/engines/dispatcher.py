"""Where calls go: the base of what takes them on."""

from __future__ import annotations

from abc import ABC, abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from offload.registry.session import Session
    from offload.tasks.call import Call
    from offload.tasks.futures import Future
    from offload.transport.function import ShippedFunction


class Dispatcher(ABC):
    """Takes on calls, and sets their futures when they have ended."""

    @abstractmethod
    def add(self, session: Session, function: ShippedFunction, calls: list[tuple[Call, Future[Any]]]) -> None:
        """Take on calls of one function. The same call, already on its way, is not begun twice."""

    @abstractmethod
    def unfinished(self, timeout: float | None = None) -> int:
        """Wait until this process may end, or for `timeout` seconds; return the number of calls that need it still."""

    @abstractmethod
    def close(self, kill: bool = False) -> None:
        """End what was started for the calls; with `kill` without waiting for what is running."""

    @abstractmethod
    def give_up(self, error: Exception) -> None:
        """End, and let all calls that are not done fail with this error."""

    def leave(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of everything in a child of this process: what was begun is the parent's."""
