"""Changing the number of workers of a deployment that is up: to a number, or to what the work asks for."""

from __future__ import annotations

from typing import Any

from offload.deploy.config.spec import WORKER
from offload.deploy.head_client import ask
from offload.errors import OffloadError
from offload.registry.contact import Contact
from offload.registry.deployments import Place


def scale(place: Place, workers: int, group: str = WORKER) -> dict[str, Any]:
    """Have so many workers from now on. Those that go hand over what they hold, idle ones first.

    Parameters
    ----------
    place : Place
        The deployment.
    workers : int
        Zero or more.
    group : str
        Which group of workers.

    Returns
    -------
    dict
        How the deployment is then, as :func:`offload.deploy.lifecycle.local.status` gives it.

    Raises
    ------
    OffloadError
        If it is not up, or has no workers of its own.
    """
    return ask(place, _contact(place), "POST", "/v1/scale", {"workers": workers, "group": group})


def adapt(place: Place, minimum: int, maximum: int, group: str = WORKER) -> dict[str, Any]:
    """Have as many workers as the work asks for, within limits: they come at once, and idle ones go after some calm.

    Parameters
    ----------
    place : Place
        The deployment.
    minimum, maximum : int
        The limits.
    group : str
        Which group of workers.

    Returns
    -------
    dict
        As for `scale`.

    Raises
    ------
    OffloadError
        As for `scale`.
    """
    return ask(place, _contact(place), "POST", "/v1/adapt", {"minimum": minimum, "maximum": maximum, "group": group})


def _contact(place: Place) -> Contact:
    contact = Contact.read(place.contact)
    if contact is None or not contact.head_lives():
        raise OffloadError(f"the deployment {place.name} is not up", f"offload up {place.name}")
    return contact
