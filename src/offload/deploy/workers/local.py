"""Workers on the head's machine, each a child of the head."""

from __future__ import annotations

from offload.compute.places import Place
from offload.deploy.head.children import Child
from offload.deploy.head.link import SchedulerLink
from offload.deploy.processes import python
from offload.deploy.workers.base import Workers


def local_workers(place: Place, link: SchedulerLink, prefix: str) -> Workers:
    """Return workers of a deployment that run beside its head."""

    def make(name: str) -> Child:
        command = python("offload.deploy.worker", place.path, name)
        return Child(name, lambda: command, place.log(name))

    return Workers(link, make, prefix=prefix)
