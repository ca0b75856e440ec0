"""A deployment as ``offload up`` starts it, in the hands of a Python program."""

from __future__ import annotations

from typing import Any

from offload.api.backend import Cluster
from offload.api.client import client
from offload.deploy import scaling
from offload.deploy.config.spec import WORKER, Spec
from offload.deploy.lifecycle.foreground import Foreground
from offload.deploy.lifecycle.local import down, state, up
from offload.deploy.log_reader import LogReader
from offload.deploy.security import credentials
from offload.deploy.status import report
from offload.errors import OffloadError
from offload.registry.contact import Contact
from offload.registry.deployments import Registry
from offload.storage.home import checked_home

LOG_LINES = 1000


class Separate(Cluster):
    """Head, services and workers in processes of their own.

    Parameters
    ----------
    name : str
        Its name in the registry.
    spec : Spec, optional
        What to start; None for one that runs already, which is left alone.

    Attributes
    ----------
    place : Place
        Where it keeps its files.
    """

    here = False

    def __init__(self, name: str, spec: Spec | None = None) -> None:
        super().__init__(name)
        self._spec = spec
        self._attached = Foreground()  # it does not outlive this process, even one that is killed
        self._registry = Registry(checked_home())
        self.place = self._registry.place(name)
        self.path = self.place.path

    def contact(self) -> Contact:
        """Return where it is now.

        Raises
        ------
        OffloadError
            If it is not up.
        """
        contact = Contact.read(self.place.contact)
        if contact is None:
            raise OffloadError(f"the deployment {self.name} is down", f"offload up {self.name}")
        return contact

    def start(self) -> None:
        """Bring it up, unless it is up already; then it is left up at the end, too."""
        if self._spec is None or state(self.place) == "running":
            return
        known = self.name in self._registry.names()
        self.owned = True
        try:
            _, self.owned = up(self._registry, self._spec, _nobody, self._attached.start)
        except BaseException:
            self._attached.let_go()
            if not known and self.name in self._registry.names():
                down(self._registry, self.place, _nobody)
            raise

    def stop(self) -> None:
        """Bring it down, if it was brought up here."""
        if not self.owned:
            return
        if self.name in self._registry.names():  # nobody else has done it
            down(self._registry, self.place, _nobody)
        self._attached.let_go()

    def scheduler_address(self) -> str | None:
        """Return the address."""
        return self.contact().scheduler

    def dashboard_link(self) -> str:
        """Return the link. It holds the deployment's token."""
        return f"{self.contact().head['url']}/login?token={credentials.token(self.place.keys)}"

    def status(self) -> dict[str, Any]:
        """Return what its head and its job service say."""
        return report(self.place)

    def scale(self, workers: int, group: str = WORKER) -> None:
        """Ask the head for so many workers."""
        scaling.scale(self.place, workers, group)

    def adapt(self, minimum: int, maximum: int, group: str = WORKER) -> None:
        """Ask the head to follow the load."""
        scaling.adapt(self.place, minimum, maximum, group)

    def logs(self) -> dict[str, str]:
        """Return the last lines of each log, also of those on another machine."""
        reader = LogReader(self.place)
        found = reader.last(LOG_LINES)
        if reader.trouble is not None:
            raise reader.trouble
        return {who: "\n".join(lines) for who, lines in sorted(found.items())}

    def client(self, **options: Any) -> Any:
        """Return a client with its certificates."""
        return client(self.name, **options)


def _nobody(text: str) -> None:
    """Take a line about what happens, and show it to nobody: a program that wants to know asks for the status."""
