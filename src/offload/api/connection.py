"""A choice of where work goes, as users hold it."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from offload.registry.active import Choice, drop


class Connection(Choice):
    """A choice of where work goes, for all threads of this process, until it is closed.

    Made by :func:`connect`; ``with`` and ``async with`` close it at the end of the block. Connections nest: the last
    one that is open counts.

    Attributes
    ----------
    name : str
        The deployment, or ``"none"``.
    """

    def close(self) -> None:
        """Let count again what counted before. What was submitted goes on. To close twice is no error."""
        drop(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<offload.connect {self.name}>"
