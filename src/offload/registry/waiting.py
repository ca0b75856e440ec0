"""Waiting for the services of a deployment that are away, with what is known of why."""

from __future__ import annotations

from offload.errors import DamagedError
from offload.notices import tell
from offload.registry.contact import AWAY, Contact
from offload.registry.deployments import Place, Registry
from offload.registry.location import is_elsewhere
from offload.storage.retrying import LONG_PATIENCE, PATIENCE, Patience

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def patience_for(place: Place, service: str, say: Callable[[str], None] | None = None) -> Patience:
    """Return how a service of a deployment is waited for.

    Parameters
    ----------
    place : Place
        The deployment.
    service : str
        What it is called, such as ``"job service"``.
    say : callable, optional
        Tells the user; by default on standard error.
    """

    def contact() -> Contact | None:
        try:
            return Contact.read(place.contact)
        except DamagedError:
            return None

    def reason() -> str:
        known = contact()
        return known.reason if known is not None else ""

    def patience() -> float:
        known = contact()
        return LONG_PATIENCE if known is not None and known.state == AWAY else PATIENCE

    return Patience(f"the {service} of {place.name}", say or tell, reason, patience, is_elsewhere(place))


def storage_patience(home: str, name: str) -> Patience:
    """Return how the storage of a deployment is waited for."""
    return patience_for(Registry(home).place(name), "storage")
