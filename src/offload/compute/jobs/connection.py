"""Finding the job service of a deployment, and bringing back a head of this machine that has died."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from offload.compute.contact import Contact
from offload.compute.places import Place
from offload.errors import NotFoundError, OffloadError
from offload.storage.remote.client import Client

UP_SECONDS = 120.0
POLL = 0.1


def connect(place: Place) -> Client:
    """Return a client of a deployment's job service, where it is now.

    Raises
    ------
    OffloadError
        If the deployment is not up, and cannot be brought up.
    """
    contact = Contact.read(place.contact)
    if contact is None:
        reason = place.end_reason()
        how = f"has ended: {reason}" if reason else "is not up"
        raise NotFoundError(f"the deployment {place.name} {how}", f"offload up --name {place.name}")
    if not contact.head_lives():
        contact = _revived(place)
    contact = _started(place, contact)
    if contact.jobs is None and contact.state == "running":
        raise OffloadError(f"the deployment {place.name} is storage only: it runs no jobs", "offload use another one")
    if contact.jobs is None:
        raise OffloadError(f"the deployment {place.name} takes no jobs (yet)", f"offload status {place.name}")
    try:
        with open(place.token, encoding="ascii") as file:
            return Client(contact.jobs, file.read().strip(), place.authority)
    except OSError as exc:
        raise OffloadError(f"{place.token} cannot be read: {exc.strerror}", f"offload up --name {place.name}") from exc


def _started(place: Place, contact: Contact) -> Contact:
    """Wait for a deployment that somebody is just bringing up."""
    deadline = time.monotonic() + UP_SECONDS
    while contact.state == "starting" and contact.head_lives() and time.monotonic() < deadline:
        time.sleep(POLL)
        contact = Contact.read(place.contact) or contact
    return contact


def _revived(place: Place) -> Contact:
    """Bring a deployment whose head has died up again, as it was."""
    try:
        done = _brought_up(place)
    except subprocess.TimeoutExpired as exc:
        raise OffloadError(f"{place.name} was not up again after {UP_SECONDS:.0f} s", "offload logs") from exc
    contact = Contact.read(place.contact)
    if done.returncode or contact is None:
        said = done.stderr.decode(errors="replace").strip()
        raise OffloadError(f"the head of {place.name} has died and does not come up again: {said}", "offload logs")
    return contact


def _brought_up(place: Place) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "offload", "up", "--name", place.name],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "OFFLOAD_HOME": place.home},
        timeout=UP_SECONDS,
        check=False,
    )
