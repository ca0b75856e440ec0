"""What another terminal, or plain Dask code, needs to know to use a deployment."""

from __future__ import annotations

from offload.compute.contact import Contact
from offload.compute.places import VARIABLE, Place
from offload.deploy import credentials


def variables(place: Place, contact: Contact) -> dict[str, str]:
    """Return the environment variables: names, addresses and paths, no secrets.

    With them ``dask.distributed.Client()``, ``dask worker`` and ``dask scheduler`` find the scheduler and the
    certificates by Dask's own configuration.
    """
    own = credentials.certificate(place.keys, credentials.DASK)
    found = {VARIABLE: place.name}
    if contact.scheduler is None:
        return found
    found["DASK_SCHEDULER_ADDRESS"] = contact.scheduler
    found["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] = "True"
    found["DASK_DISTRIBUTED__COMM__TLS__CA_FILE"] = credentials.authority(place.keys)
    for party in ("CLIENT", "WORKER", "SCHEDULER"):
        found[f"DASK_DISTRIBUTED__COMM__TLS__{party}__CERT"] = own.certificate
        found[f"DASK_DISTRIBUTED__COMM__TLS__{party}__KEY"] = own.key
    return found
