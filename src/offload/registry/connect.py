"""Finding the services of a deployment, wherever it is, and bringing back what has died of it on this machine."""

from __future__ import annotations

import os
import time

from offload.errors import DamagedError, NotFoundError, OffloadError, RefusedError
from offload.http.client import Client
from offload.registry.contact import DOWN, REFUSED, Contact
from offload.registry.deployments import Place, Registry
from offload.registry.revival import revive
from offload.storage.retrying import NotUpError
from offload.util.liveness import is_locked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.storage.database import Database
    from offload.storage.store import Store

START_SECONDS, POLL = 1.0, 0.1


def refusal(place: Place, contact: Contact) -> RefusedError:
    """Return the error that says why a deployment lets its user in no more."""
    return RefusedError(f"{place.name}: {contact.reason}", f"then: offload join; or: offload leave {place.name}")


def elsewhere(place: Place) -> OffloadError:
    """Return the error that says that a deployment runs in another container of this machine."""
    return OffloadError(
        f"the deployment {place.name} runs in another container of this machine, and is not reached from here",
        f"use it there, or with that container's network; to end it from here: offload down {place.name}",
    )


def ended(place: Place, contact: Contact) -> NotFoundError:
    """Return the error that says that a deployment on another machine has been brought down there, and stays so."""
    return NotFoundError(f"the deployment {place.name} is down: {contact.reason}", f"offload up {place.name}")


def connect(place: Place, service: str = "jobs") -> Client:
    """Return a client of a service of a deployment, where it is now.

    Parameters
    ----------
    place : Place
        The deployment.
    service : str
        ``"jobs"`` or ``"storage"``.

    Raises
    ------
    NotUpError
        If it is not up yet: ask again.
    OffloadError
        If the deployment is not up, and cannot be brought up.
    """
    try:
        contact = Contact.read(place.contact) or _between(place)
    except DamagedError:  # a crash has cut it off
        contact = revive(place)
    _met.add(place.path)
    if contact.state == DOWN:
        raise ended(place, contact)
    if contact.state == "dead" or not contact.head_lives():
        contact = revive(place)
    elif contact.is_elsewhere():
        raise elsewhere(place)
    contact = _started(place, contact)
    if contact.state == REFUSED:
        raise refusal(place, contact)
    url: str | None = getattr(contact, service)
    if url is None and service == "jobs" and contact.state == "running":
        raise OffloadError(f"the deployment {place.name} is storage only: it runs no jobs", "offload use another one")
    if url is None:
        what = "takes no jobs yet" if service == "jobs" else "has no storage service yet"
        reason = f" ({contact.reason})" if contact.reason else ""
        raise NotUpError(f"it is {contact.state}{reason} and {what}", f"offload status {place.name}")
    try:
        with open(place.token, encoding="ascii") as file:
            return Client(url, file.read().strip(), place.authority)
    except OSError as exc:
        raise OffloadError(f"{place.token} cannot be read: {exc.strerror}", f"offload up {place.name}") from exc


_met: set[str] = set()  # paths of deployments that this process has found up before


def _between(place: Place) -> Contact:
    """Return where a deployment is that says nothing of itself: while it is brought up again, nobody knows."""
    reason = place.end_reason()
    if reason is None and os.path.exists(place.spec):
        if place.path in _met:
            return revive(place)
        if is_locked(place.changing):
            raise NotUpError("somebody is bringing it up or down")
    how = f"has ended: {reason}" if reason else "is not up"
    raise NotFoundError(f"the deployment {place.name} {how}", f"offload up {place.name}")


def store(home: str, name: str) -> Store:
    """Return the store of a deployment, as its storage service gives it."""
    from offload.storage.http.store import HttpStore

    return HttpStore(connect(Registry(home).get(name), "storage"))


def database(home: str, name: str) -> Database:
    """Return the database of a deployment, as its storage service gives it."""
    from offload.storage.http.database import HttpDatabase

    return HttpDatabase(connect(Registry(home).get(name), "storage"))


def _started(place: Place, contact: Contact) -> Contact:
    """Wait for a moment for a deployment that somebody is just bringing up."""
    deadline = time.monotonic() + START_SECONDS
    while contact.state == "starting" and contact.head_lives() and time.monotonic() < deadline:
        time.sleep(POLL)
        contact = Contact.read(place.contact) or contact
    return contact
