"""Checks of ports: whether they are reached from here."""

from __future__ import annotations

import errno
import os
import socket
import ssl

from offload.deploy.routes.base import parts
from offload.deploy.security import credentials
from offload.doctor.facts import PORT
from offload.doctor.result import Result, failed, passed
from offload.doctor.rpc import ask
from offload.errors import OffloadError
from offload.hosts.base import Site
from offload.registry.contact import Contact
from offload.registry.deployments import Place

SECONDS = 5.0
OPEN, REFUSED, BLOCKED, SILENT = "open", "refused", "blocked", "silent"
TUNNEL_HINT = "use the tunnel: leave --route direct out"


def probe(host: str, port: int, authority: str | None = None) -> str:
    """Return how a port is.

    Parameters
    ----------
    host : str
        Where.
    port : int
        Which.
    authority : str, optional
        The certificate that what listens there is to be known by: a tunnel accepts connections that it cannot pass on.

    Returns
    -------
    str
        ``"open"``, ``"refused"``: nothing listens there; ``"blocked"``: nothing comes back; ``"silent"``: it takes
        connections, and does not answer as it should.
    """
    try:
        with socket.create_connection((host, port), SECONDS) as connection:
            if authority is None:
                return OPEN
            context = ssl.create_default_context(cafile=authority)
            context.check_hostname = False
            try:
                with context.wrap_socket(connection):
                    return OPEN
            except OSError:
                return SILENT
    except ConnectionRefusedError:
        return REFUSED
    except OSError as exc:
        return SILENT if exc.errno == errno.ECONNRESET else BLOCKED


def of_deployment(place: Place, contact: Contact) -> list[Result]:
    """Return how the services of a deployment are reached from here, each on its port."""
    addresses = {"head": contact.head.get("url"), "scheduler": contact.scheduler}
    addresses |= {"jobs": contact.jobs, "storage": contact.storage}
    return [_service(place, name, address) for name, address in addresses.items() if address]


def _service(place: Place, name: str, address: str) -> Result:
    scheme, host, port = parts(address)
    authority = credentials.authority(place.keys)
    how = probe(host, port, authority if scheme in ("https", "tls") and os.path.exists(authority) else None)
    logs = f"offload logs {place.name} --worker {name}"
    name = {"jobs": "job service", "storage": "storage service"}.get(name, name)
    check = f"port {port}"
    if how == OPEN:
        return passed(check, f"the {name} answers at {host}")
    if how == REFUSED:
        return failed(check, f"the {name} does not listen at {host}, or a firewall refuses it", logs)
    if how == BLOCKED:
        return failed(
            check,
            f"the {name} is not reached at {host}: nothing came back in {SECONDS:g} s, as with a firewall",
            f"have port {port} opened between here and {host}, or {TUNNEL_HINT}",
        )
    return failed(check, f"the {name} does not answer at {host}", logs)


def free_one(site: Site, python: str, host: str, ports: tuple[int, int]) -> Result:
    """Return whether a port of a range that is free there is reached from here, by listening on one."""
    tried: dict[str, tuple[int, str]] = {}
    address = host or _address_of(site, python)

    def tell(line: str) -> None:
        if line.startswith(PORT):
            port = int(line.removeprefix(PORT))
            tried["port"] = port, probe(address, port)

    ask(site, python, {"do": "listen", "host": address, "ports": ports}, tell)
    check = f"ports {ports[0]}-{ports[1]}"
    if "port" not in tried:
        return failed(check, "none of them is free", "give another range: --ports A-B")
    port, how = tried["port"]
    if how == OPEN:
        return passed(check, f"port {port} was opened there, and is reached from here at {address}")
    why = "nothing came back, as with a firewall" if how == BLOCKED else "the connection was refused on the way"
    return failed(
        check, f"port {port} was opened there, and is not reached from here at {address}: {why}",
        f"have {ports[0]}-{ports[1]} opened between here and {address}, or {TUNNEL_HINT}",
    )  # fmt: skip


def _address_of(site: Site, python: str) -> str:
    request = {"do": "gather", "home": "", "scratch": "", "host": "", "ports": None}
    address = str(ask(site, python, request)["host"])
    if address == "127.0.0.1":
        raise OffloadError(f"the address of {site.name} is not known", "give it: --host ADDRESS")
    return address
