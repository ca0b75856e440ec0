"""What another terminal, or plain Dask code, needs to know to use a deployment."""

from __future__ import annotations

from offload.deploy.config.spec import Spec, spec_of
from offload.deploy.security import credentials
from offload.registry.contact import Contact
from offload.registry.deployments import VARIABLE, Place
from offload.storage.home import BUFFERS, DATABASE, DEPLOYMENT


def variables(place: Place, contact: Contact) -> dict[str, str]:
    """Return the environment variables: names, addresses and paths, no secrets.

    With them ``dask.distributed.Client()``, ``dask worker`` and ``dask scheduler`` find the scheduler and the
    certificates by Dask's own configuration. Storage alone takes no work: results are kept there.
    """
    if contact.state == "running" and contact.storage is not None and contact.jobs is None:
        return {BUFFERS: DEPLOYMENT + place.name, DATABASE: DEPLOYMENT + place.name}
    found = {VARIABLE: place.name}
    if contact.scheduler is None:
        return found
    found["DASK_SCHEDULER_ADDRESS"] = contact.scheduler
    spec = spec_of(place)
    if spec.scheduler is not None:
        return {**found, **_of_existing(spec)}
    found["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] = "True"
    own = credentials.certificate(place.keys, credentials.DASK)
    found["DASK_DISTRIBUTED__COMM__TLS__CA_FILE"] = credentials.authority(place.keys)
    for party in ("CLIENT", "WORKER", "SCHEDULER"):
        found[f"DASK_DISTRIBUTED__COMM__TLS__{party}__CERT"] = own.certificate
        found[f"DASK_DISTRIBUTED__COMM__TLS__{party}__KEY"] = own.key
    link = dashboard_link(contact)
    return {**found, "DASK_DISTRIBUTED__DASHBOARD__LINK": link} if link else found


def dashboard_link(contact: Contact) -> str | None:
    """Return where the dashboard is, for a browser that has logged in by ``offload dashboard``; None without a head."""
    return f"{contact.head['url']}/status" if contact.has_head() else None


def _of_existing(spec: Spec) -> dict[str, str]:
    """Return what a client of a scheduler needs that someone else started; its workers are none of ours."""
    if spec.tls_ca is None or spec.tls_cert is None or spec.tls_key is None:
        return {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "False"}
    return {
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": spec.tls_ca,
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT": spec.tls_cert,
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY": spec.tls_key,
    }
