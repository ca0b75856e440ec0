"""The place here of a deployment on another machine: made, read, and removed."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from offload.deploy import envfile
from offload.deploy.config.link import TUNNEL, Link
from offload.deploy.config.spec import Spec, spec_of
from offload.deploy.endpoints import free_port
from offload.deploy.routes.base import Route
from offload.deploy.routes.direct import Direct
from offload.deploy.routes.tunnel import LOOPBACK, SERVICES, Tunnel
from offload.deploy.security import credentials
from offload.errors import OffloadError
from offload.hosts.address import SshAddress
from offload.hosts.ssh import Ssh
from offload.registry.deployments import Place, Registry
from offload.util.files import write_whole

SOCKET = "ssh"


def create(registry: Registry, spec: Spec, keys: dict[str, str]) -> Place:
    """Make or renew the place of a deployment on another machine.

    Parameters
    ----------
    registry : Registry
        Of this machine.
    spec : Spec
        With its link.
    keys : dict
        What :func:`offload.deploy.security.credentials.of_client` has given there.
    """
    place = registry.create(spec.name, spec.to_json(), None, None, spec.home(registry.home).also)
    credentials.keep(place.keys, keys)
    return place


def runtime_of(place: Place) -> str:
    """Return the directory for sockets of a connection, which only its owner can enter; made when it is not there."""
    if os.path.exists(place.spec):
        link = spec_of(place).link
        if link is not None and link.runtime and os.path.isdir(link.runtime):
            return link.runtime
    return tempfile.mkdtemp(prefix="offload-")


def site_of(link: Link, ask: bool) -> Ssh | None:
    """Return the machine that a deployment is on, as it is reached over SSH; None where it is not."""
    if link.site is None:
        return None
    return Ssh(SshAddress.parse(link.site), os.path.join(link.runtime, SOCKET), ask, link.ssh)


def route_of(link: Link, site: Ssh | None, known: dict[str, int]) -> Route:
    """Return the route to a deployment."""
    if link.route == TUNNEL:
        assert site is not None  # Link has checked it
        return Tunnel(site, link.local_ports, known)
    return Direct()


def check_free(ports: tuple[int, int]) -> None:
    """Check that the local ends of a tunnel can be had; that is known before anything is started.

    Raises
    ------
    PortsExhaustedError
        If a port is taken.
    """
    for position in range(len(SERVICES)):
        free_port(LOOPBACK, ports[0] + position, None)


def note(place: Place, **changes: Any) -> Spec:
    """Change what is kept of the link of a deployment, and return the spec."""
    import dataclasses

    spec = spec_of(place)
    if spec.link is None:
        raise OffloadError(f"{place.name} is on this machine")
    changed = dataclasses.replace(spec, link=dataclasses.replace(spec.link, **changes))
    write_whole(place.spec, changed.to_json())
    return changed


def remove(registry: Registry, place: Place, link: Link) -> None:
    """Remove what is known here of a deployment."""
    if link.runtime:
        shutil.rmtree(link.runtime, ignore_errors=True)
    envfile.end(place)
    registry.remove(place.name)
