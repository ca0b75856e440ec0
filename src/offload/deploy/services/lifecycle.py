"""How a service of a deployment learns that it is to end, and tells where it is."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys

from offload.registry.contact import Contact
from offload.registry.deployments import Place
from offload.util.liveness import started
from offload.util.stopping import when_told


async def until_told(attached: bool) -> None:
    """Wait for SIGTERM or SIGINT; for what a head has started, also for the end of standard input."""
    told = asyncio.Event()
    when_told(lambda _: told.set(), attached)
    await told.wait()


def announce(place: Place, attached: bool, name: str, address: str) -> None:
    """Tell where a service is: as one line of JSON on standard output, which is what a head reads.

    Where no head has started the service, it writes the contact file itself.

    Parameters
    ----------
    place : Place
        The deployment.
    attached : bool
        Whether a head has started it.
    name : str
        What the contact file calls it.
    address : str
        Its address.
    """
    if not attached:
        contact = Contact.read(place.contact)
        if contact is None or not contact.head_lives():
            pid = os.getpid()
            head = {"pid": pid, "started": started(pid), "host": socket.gethostname(), "url": "", "runtime": ""}
            contact = Contact("running", head)
        setattr(contact, name, address)
        contact.write(place.contact)
    sys.stdout.write(json.dumps({"address": address}) + "\n")
    sys.stdout.flush()


def withdraw(place: Place) -> None:
    """Remove the contact file, if this process has written it for itself."""
    contact = Contact.read(place.contact)
    if contact is not None and contact.head["pid"] == os.getpid():
        os.unlink(place.contact)
