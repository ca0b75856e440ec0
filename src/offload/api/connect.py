"""``offload.connect()``: which deployment the work of this process goes to."""

from __future__ import annotations

from typing import Any

from offload.api.connection import Connection
from offload.api.deployment import Deployment
from offload.errors import OffloadError, UsageError
from offload.registry.active import EMBEDDED, choose
from offload.registry.contact import Contact
from offload.registry.deployments import Registry
from offload.storage.home import checked_home


def connect(name: str | None = "") -> Any:
    """Send the work of this process to a deployment, from now on or within a ``with`` block.

    It counts for all threads, and more than ``$OFFLOAD_DEPLOYMENT`` and ``offload use``.

    Parameters
    ----------
    name : str or None
        The deployment; None or ``"none"`` for none of them: work then runs within this process or in a cluster of
        its own. One of these has to be given.

    Returns
    -------
    Deployment
        To be closed, which leaves the deployment up, or used with ``with``. For none of them, a choice that can only be
        closed.

    Raises
    ------
    UsageError
        If no name is given, or an address.
    NotFoundError
        If there is no such deployment.
    OffloadError
        If it is down.

    Examples
    --------
    >>> import offload
    >>> with offload.connect(None):
    ...     pass
    """
    if name is None or name == EMBEDDED:
        connection = Connection(EMBEDDED)
    else:
        registry = Registry(checked_home())
        if not name or "://" in name:
            raise _no_name(registry, name)
        place = registry.get(name)
        if Contact.read(place.contact) is None:
            raise OffloadError(f"the deployment {name} is down", f"bring it up: offload up {name}")
        return Deployment.running(name)
    choose(connection)
    return connection


def _no_name(registry: Registry, given: str) -> UsageError:
    """Return the error for what is no name of a deployment: nothing, or the address of a machine."""
    from offload.deploy.lifecycle.common import link_of

    names = registry.names()
    if not given:
        known = f"there are: {', '.join(names)}" if names else "bring one up: offload up"
        return UsageError("which deployment is to be connected to?", f'offload.connect("NAME"); {known}')
    there = [name for name in names if (link := link_of(registry.place(name))) is not None and link.site == given]
    if there:
        hint = f"it goes by name: {' or '.join(f'offload.connect({name!r})' for name in there)}"
    else:
        hint = f"bring it up first: offload up {given}; then offload.connect(NAME), with the name that this shows"
    return UsageError(f"{given!r} is no name of a deployment", hint)
