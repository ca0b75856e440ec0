"""What a `Deployment` object stands for: the base of the kinds there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from offload.deploy.config.spec import WORKER
from offload.engines.base import Engine


class Cluster(ABC):
    """A scheduler and workers that are started and ended from Python.

    Parameters
    ----------
    name : str
        What it is called.

    Attributes
    ----------
    here : bool
        Whether all of it is threads of this process.
    owned : bool
        Whether it was started here, so that `stop` ends it.
    path : str or None
        The directory that it has in the home.
    """

    here: bool
    path: str | None = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.owned = False

    @abstractmethod
    def start(self) -> None:
        """Bring it up; what was begun is ended again when that fails or is interrupted."""

    @abstractmethod
    def stop(self) -> None:
        """End what was started."""

    @abstractmethod
    def scheduler_address(self) -> str | None:
        """Return Dask's address of the scheduler."""

    @abstractmethod
    def dashboard_link(self) -> str | None:
        """Return a link that opens the dashboard, where there is one."""

    @abstractmethod
    def status(self) -> dict[str, Any]:
        """Return what runs, as plain values: ``name``, ``state``, ``scheduler``, ``services``, ``workers``, ..."""

    @abstractmethod
    def scale(self, workers: int, group: str = WORKER) -> None:
        """Have so many workers."""

    @abstractmethod
    def adapt(self, minimum: int, maximum: int, group: str = WORKER) -> None:
        """Have as many workers as there is work for, within these limits."""

    @abstractmethod
    def logs(self) -> dict[str, str]:
        """Return what each process or worker has said, by its name."""

    @abstractmethod
    def client(self, **options: Any) -> Any:
        """Return a plain Dask client."""

    def engine(self) -> Engine:
        """Return a new engine on it, for calls of this process; only where it is here."""
        raise NotImplementedError
