"""The route through an SSH connection: ports of this machine's loopback lead to the services."""

from __future__ import annotations

from offload.deploy.endpoints import PortsExhaustedError, free_port
from offload.deploy.routes.base import Route, parts
from offload.hosts.ssh import Ssh

LOOPBACK = "127.0.0.1"
SERVICES = {"scheduler": 8786, "head": 8787, "jobs": 0, "storage": 0}
"""Those that are forwarded, in the order in which they take pinned ports, and the ports that they are given if free."""


class Tunnel(Route):
    """All services through one SSH connection.

    Parameters
    ----------
    site : Ssh
        The machine that the tunnel leads to.
    local_ports : (int, int), optional
        The ports of this machine to use, in the order of `SERVICES`; by default any that are free.
    known : dict, optional
        The ports that services had before: these are taken again where they are free.
    """

    def __init__(
        self, site: Ssh, local_ports: tuple[int, int] | None = None, known: dict[str, int] | None = None
    ) -> None:
        self._site = site
        self._pinned = local_ports
        self._ports = dict(known or {})
        self._forwarded: dict[str, tuple[int, str, int]] = {}

    def open(self) -> None:
        """Connect. What was forwarded over an earlier connection is forwarded anew."""
        if self._site.is_open():
            return
        self._forwarded.clear()
        self._site.open()

    def reach(self, service: str, address: str) -> str:
        """Return an address on loopback."""
        scheme, host, remote_port = parts(address)
        before = self._forwarded.get(service)
        if before is None or before[1:] != (host, remote_port):
            if before is not None:
                self._site.cancel(*before)
                del self._forwarded[service]
            port = self._port(service)
            self._site.forward(port, host, remote_port)
            self._ports[service] = port
            self._forwarded[service] = port, host, remote_port
        return f"{scheme}://{LOOPBACK}:{self._ports[service]}"

    def _port(self, service: str) -> int:
        if self._pinned is not None:
            return free_port(LOOPBACK, self._pinned[0] + list(SERVICES).index(service), None)
        before = self._ports.get(service)
        if before is not None:
            try:
                return free_port(LOOPBACK, before, None)
            except PortsExhaustedError:
                pass  # somebody has taken it while there was no connection
        return free_port(LOOPBACK, None, None, SERVICES[service])

    def close(self) -> None:
        """End the connection."""
        self._forwarded.clear()
        self._site.close()
