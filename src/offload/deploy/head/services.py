"""The head's services: the scheduler, the job service and the storage service, each a child of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offload.deploy.head.children import Child
from offload.registry.contact import Contact
from offload.registry.deployments import Place
from offload.util.processes import python


class Services:
    """What a head runs beside workers. Each says where it listens, and comes back there when it has died.

    Parameters
    ----------
    place : Place
        The deployment.
    contact : Contact
        Is told where each of them is, and written.
    socket : str
        Where the dashboard is to listen.
    """

    def __init__(self, place: Place, contact: Contact, socket: str) -> None:
        self._place = place
        self._contact = contact
        self.scheduler = self._child("scheduler", lambda: contact.scheduler, socket)
        self.jobs = self._child("jobs", lambda: contact.jobs)
        self.storage = self._child("storage", lambda: contact.storage)

    def _child(self, name: str, known: Callable[[], str | None], *arguments: str) -> Child:
        """Return the child that runs the module of this name, and the port it had when it had one."""

        def command() -> list[str]:
            address = known()
            port = [address.rpartition(":")[2]] if address else []
            return python(f"offload.deploy.{name}", self._place.path, *arguments, *port)

        def announced(told: dict[str, Any]) -> None:
            setattr(self._contact, name, told["address"])
            self._contact.write(self._place.contact)

        return Child(name, command, self._place.log(name), announces=True, announced=announced)
