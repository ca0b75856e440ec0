"""Workers on the head's machine, each a child of the head; and on the other nodes of the job that the head is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offload.deploy.config.spec import Spec
from offload.deploy.head.children import Child
from offload.deploy.head.clients import SchedulerLink
from offload.deploy.workers.base import Workers
from offload.registry.deployments import Place
from offload.util.processes import python


def local_workers(place: Place, spec: Spec, link: SchedulerLink, prefix: str) -> Workers:
    """Return workers of a deployment that run beside its head."""
    if spec.head_job.get("nodes", 1) > 1:
        return Workers(link, _on_nodes(place, spec.keep), prefix=prefix)

    def make(name: str) -> Child:
        command = python("offload.deploy.workers.process", place.path, name)
        return Child(name, lambda: command, place.log(name))

    return Workers(link, make, prefix=prefix)


class OnNode(Child):
    """A worker on one of the nodes of the job that the head is."""

    node = ""

    def described(self) -> dict[str, Any]:
        """Return how it is, and on which node."""
        return {**super().described(), "node": self.node}


def _on_nodes(place: Place, keep: str) -> Callable[[str], Child]:
    """Return what makes a worker of a name: by turns on each of the nodes."""
    from offload.batch import batch_system

    system = batch_system(keep)
    nodes = system.own_nodes()

    def make(name: str) -> Child:
        node = nodes[int(name.rpartition("-")[2]) % len(nodes)]
        command = system.on_node(node, [*python("offload.deploy.workers.process", place.path, name), "--node"])
        made = OnNode(name, lambda: command, place.log(name))
        made.node = node
        return made

    return make
