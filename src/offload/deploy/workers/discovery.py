"""Where a worker learns where its scheduler is: from the deployment's contact file, or from its head."""

from __future__ import annotations

import contextlib
import os
import socket
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

from offload.deploy.config.spec import Spec, spec_of, take_part
from offload.deploy.head_client import request
from offload.deploy.manual_parts import enrolled
from offload.deploy.security import credentials
from offload.deploy.security.client_certificates import is_guests
from offload.errors import NotFoundError, UsageError
from offload.registry.contact import WORKERS_SIDE, Contact
from offload.registry.deployments import Place
from offload.registry.shared_files import mark


class Whereabouts(ABC):
    """What a worker needs to know of its deployment.

    Attributes
    ----------
    keys : str
        The directory with certificates and token.
    sees_files : bool
        Whether the deployment's files are seen here, as workers need for commands.
    """

    keys: str
    sees_files = False

    @abstractmethod
    def contact(self) -> Contact | None:
        """Return where its services are now; None when nobody knows.

        Raises
        ------
        OffloadError
            If that cannot be found out now.
        """

    @abstractmethod
    def join(self) -> Spec:
        """Let this process take part, and return what the deployment has chosen for workers."""

    def enrolled(self) -> AbstractContextManager[None]:
        """Let this process end when the deployment is brought down, where its place is seen."""
        return contextlib.nullcontext()

    def is_over(self) -> bool:
        """Whether the deployment is known to have been brought down."""
        return False


class InPlace(Whereabouts):
    """A deployment whose files are seen here.

    Parameters
    ----------
    place : Place
        Its place.
    """

    sees_files = True

    def __init__(self, place: Place) -> None:
        self._place = place
        self.keys = place.keys

    def contact(self) -> Contact | None:
        """Read the contact file, as workers are to have it; so does all that this process starts."""
        found = Contact.read(self._place.contact)
        if found is None or "workers_host" not in found.head:
            return found
        os.environ[WORKERS_SIDE] = "1"
        return found.for_workers()

    def join(self) -> Spec:
        """Keep results where the deployment does; on another machine than the head's, through its storage service."""
        contact = self.contact()
        return take_part(self._place, through=contact is not None and contact.head["host"] != socket.gethostname())

    def enrolled(self) -> AbstractContextManager[None]:
        """Say in the place that this process belongs to it."""
        return enrolled(self._place)

    def is_over(self) -> bool:
        """Whether the place is gone."""
        return not os.path.exists(self._place.spec)


class AtHead(Whereabouts):
    """A deployment that is known by the address of its head.

    Parameters
    ----------
    url : str
        The head's.
    keys : str
        The directory with ``ca.pem``, ``token``, ``dask.pem`` and ``dask.key``.
    """

    def __init__(self, url: str, keys: str) -> None:
        own = credentials.certificate(keys, credentials.DASK)
        for path in (credentials.authority(keys), own.certificate, own.key):
            if not os.path.exists(path):
                raise NotFoundError(f"there is no {path}", "copy the directory keys of the deployment's place")
        credentials.token(keys)
        _check_owner(keys)
        self._url = url.rstrip("/")
        self.keys = keys

    def contact(self) -> Contact | None:
        """Ask the head."""
        told = Contact(**request(self._url, self.keys, "GET", "/v1/contact"))
        self.sees_files = self._is_seen(told.head.get("place"))
        host = self._url.partition("://")[2].rpartition(":")[0]
        return told.for_workers() if host == told.head.get("workers_host") else told

    def _is_seen(self, path: str | None) -> bool:
        """Tell whether a place, as its head calls it, is seen here, too: the same path may lead to another one."""
        if path is None:
            return False
        try:
            found = mark(Place(path).authority)[1]
        except OSError:
            return False
        return found == mark(credentials.authority(self.keys))[1]

    def join(self) -> Spec:
        """Return the defaults: the deployment's home is out of sight."""
        return Spec()


def whereabouts(contact: str, keys: str | None) -> Whereabouts:
    """Return what a worker was told of its deployment.

    Parameters
    ----------
    contact : str
        A contact file, or the address of a head.
    keys : str or None
        The directory with its credentials.

    Raises
    ------
    UsageError, NotFoundError
        If that is not enough.
    """
    if contact.startswith("https://"):
        if keys is None:
            raise UsageError("a head asks for credentials", "give --credentials DIR, a copy of the deployment's keys")
        return AtHead(contact, keys)
    place = Place(os.path.dirname(os.path.abspath(contact)))
    if not os.path.exists(place.spec):
        raise NotFoundError(f"{contact} is not the contact file of a deployment", "offload list --json shows them")
    if keys is not None:
        raise UsageError("--credentials is for the address of a head; beside a contact file they are known")
    if spec_of(place).scheduler is not None:
        hint = f"dask worker {spec_of(place).scheduler}, with its own options"
        raise UsageError(f"the scheduler of {place.name} is not offload's", hint)
    _check_owner(place.keys)
    return InPlace(place)


def _check_owner(keys: str) -> None:
    """Check that credentials are the owner's: nobody could fetch what a worker with those of a guest computes."""
    if is_guests(keys):
        raise UsageError(
            f"the certificate in {keys} is one of `offload join`: it is for giving work, not for workers",
            "workers need a copy of the directory keys that the deployment's owner has: "
            "offload worker --contact URL --credentials DIR",
        )
