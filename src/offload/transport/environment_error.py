"""What a worker says that has not the environment that calls need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from offload.errors import IdentityError


class Machine(NamedTuple):
    """The machine of a worker that lacks an environment, which can be made there.

    Attributes
    ----------
    node : str
        Its name.
    home : str
        The directory of environments there.
    base, version : str
        The Python there that the worker's own stands on, and its minor version.
    tried : str
        The name of an environment there that was tried, and does not do; "" where there was none.
    worker : str
        The address of the worker.
    """

    node: str
    home: str
    base: str
    version: str
    tried: str = ""
    worker: str = ""


class OtherEnvironmentError(IdentityError):
    """A worker has not the environment that calls need.

    Attributes
    ----------
    machine : Machine or None
        Where it could be made, if that would do.
    """

    def __init__(self, message: str, hint: str | None = None, machine: Machine | None = None) -> None:
        super().__init__(message, hint)
        self.machine = machine

    def __reduce__(self) -> Any:
        return type(self), (self.message, self.hint, self.machine)


def other_environment(
    where: str, differences: Sequence[str], also: str = "", machine: Machine | None = None
) -> OtherEnvironmentError:
    """Return the error that a place has another environment; `also` says why it cannot have the one that is needed."""
    return OtherEnvironmentError(
        f"{where} has another environment than this process: {'; '.join(differences)}{also and f' ({also})'}",
        "bring the deployment up from this environment (offload down, offload up), or make this one there: "
        "offload environment build ssh://USER@HOST",
        machine,
    )
