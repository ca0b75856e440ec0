"""How a deployment without a head is: its parts were started one by one, and each is asked itself."""

from __future__ import annotations

import asyncio
from typing import Any

from offload.deploy.config.spec import Spec
from offload.deploy.head.clients import SchedulerLink, ServiceLink
from offload.deploy.workers.groups import Groups
from offload.engines.worker_states import WorkerRow
from offload.registry.contact import Contact
from offload.registry.deployments import Place

_START = {"scheduler": "offload scheduler {}", "jobs": "offload serve jobs {}"}


def look(place: Place, contact: Contact) -> dict[str, Any]:
    """Return what :func:`offload.deploy.lifecycle.local.status` does for one with a head.

    Services have a ``hint`` besides: how each is started.
    """
    found, workers = asyncio.run(_ask(place, contact))
    services = [
        {"name": name, "state": state, "pid": None, "restarts": None, "hint": _START[name].format(place.name)}
        for name, state in found.items()
    ]
    addresses = {"scheduler": contact.scheduler, "jobs": contact.jobs, "storage": contact.storage}
    return {
        "name": place.name,
        "state": contact.state,
        **addresses,
        "adaptive": None,
        "services": services,
        "workers": workers,
    }


async def _ask(place: Place, contact: Contact) -> tuple[dict[str, str], list[WorkerRow]]:
    """Return the state of each service, and the workers."""
    states: dict[str, str] = {}
    known: list[WorkerRow] = []
    if contact.scheduler is not None:
        link = SchedulerLink(place, contact)
        groups = Groups(place, Spec(name=place.name), link, lambda text: None)
        known = await groups.status()
        await link.close()
        states["scheduler"] = "running" if groups.reached else "away"
    if contact.jobs is not None:
        service = ServiceLink(place, lambda: contact.jobs)
        try:
            await service.get("/v1/status")
            states["jobs"] = "running"
        except (OSError, TimeoutError):
            states["jobs"] = "away"
        await service.close()
    return states, known
