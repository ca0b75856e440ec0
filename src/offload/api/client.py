"""``offload.client()``: plain Dask on a deployment."""

from __future__ import annotations

from typing import Any

from offload.deploy.config.spec import spec_of
from offload.deploy.lifecycle.local import state
from offload.deploy.variables import dashboard_link
from offload.engines.dask_settings import loaded
from offload.errors import OffloadError
from offload.registry.active import here
from offload.registry.contact import Contact
from offload.registry.deployments import Registry
from offload.runners import dask_client
from offload.storage.home import checked_home


def client(name: str | None = None, **options: Any) -> Any:
    """Return a plain Dask client on a deployment.

    Parameters
    ----------
    name : str, optional
        The deployment. By default that of :func:`offload.connect`, else ``$OFFLOAD_DEPLOYMENT``, else the one that
        ``offload use`` named, else the only one.
    **options
        For ``distributed.Client``, such as ``asynchronous=True``.

    Returns
    -------
    distributed.Client
        Connected with the deployment's certificates. Within a submitted call, without a name, it is one of the
        scheduler that runs the call, and ends with the call; what runs there gives its place to others, and may wait
        for them.

    Raises
    ------
    OffloadError
        If the deployment is not up.
    """
    loaded("distributed")
    from offload.api.dask_client import DeploymentClient
    from offload.deploy.services.dask import security_of

    if name is None and (found := dask_client.client(**options)) is not None:
        return found
    choice = here(name)
    if choice is not None:
        return choice.client(**options)
    place = Registry(checked_home()).only(name)
    contact = Contact.read(place.contact)
    if contact is None or state(place) != "running":
        raise OffloadError(f"the deployment {place.name} is {state(place)}", f"offload up {place.name}")
    if contact.scheduler is None:
        raise OffloadError(f"the deployment {place.name} is storage only: it has no scheduler", "offload list")
    link = dashboard_link(contact) if spec_of(place).scheduler is None else ""
    return DeploymentClient(link, contact.scheduler, security=security_of(place), **options)
