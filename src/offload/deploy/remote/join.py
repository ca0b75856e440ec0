"""Joining a deployment by a join string: tried at once, and from then on one of those that are known here."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

from offload.deploy.config.link import DIRECT, TUNNEL, Link
from offload.deploy.config.resolve import LOCAL
from offload.deploy.config.resolve_remote import default_name
from offload.deploy.config.spec import Spec
from offload.deploy.endpoints import free_port
from offload.deploy.head_client import HeadGoneError, OtherHeadError, request
from offload.deploy.lifecycle.common import Say, link_of, single
from offload.deploy.remote import replica, up
from offload.deploy.routes.base import parts
from offload.deploy.routes.tunnel import LOOPBACK
from offload.deploy.security import client_certificates
from offload.deploy.security.invitation import Invitation
from offload.errors import OffloadError
from offload.hosts.address import SshAddress
from offload.hosts.ssh import Ssh
from offload.registry.contact import Contact
from offload.registry.deployments import Place, Registry
from offload.storage.home import Home
from offload.util.files import write_whole

REACH_SECONDS = 15.0


def name_for(invitation: Invitation) -> str:
    """Return what a deployment is called here by default: as its owner calls it, or as its host where that says more.

    Examples
    --------
    >>> name_for(Invitation("local", (), "", "", "", "me@Node7.example.org"))
    'node7'
    """
    if invitation.name != LOCAL:
        return invitation.name
    return default_name(invitation.owner.rpartition("@")[2])


def join(
    registry: Registry,
    invitation: Invitation,
    name: str,
    site: str | None,
    local_ports: tuple[int, int] | None,
    say: Say,
) -> Contact:
    """Make a deployment known here, or renew what is known of it, and connect to it.

    Parameters
    ----------
    registry : Registry
        Where it is made known.
    invitation : Invitation
        What the join string says.
    name : str
        What it is called here.
    site : str or None
        The machine through which it is reached; None where its addresses are reached from here.
    local_ports : (int, int) or None
        For a tunnel: the ports of this machine.
    say : callable
        Is told each step.

    Raises
    ------
    OffloadError
        If it cannot be reached, or does not let in; nothing is changed then.
    """
    Home(registry.home)
    place = registry.place(name)
    with single(place, say):
        before = _known(place, invitation)
        link = _link(place, before, invitation, site, local_ports)
        through = replica.site_of(link, ask=True)
        try:
            if through is not None:
                say(f"connecting to {through.name}")
                through.open()
            head, keys = _let_in(invitation, through, say)
        except BaseException:
            if before is None:
                if through is not None:
                    through.close()
                shutil.rmtree(link.runtime, ignore_errors=True)
            raise
        if before is not None:
            up.end_keeper(place)
        replica.create(registry, Spec(name=name, link=dataclasses.replace(link, head=head)), keys)
        return up.connect(place, say)


def _known(place: Place, invitation: Invitation) -> Link | None:
    """Return the link of an earlier joining.

    Raises
    ------
    OffloadError
        If the name stands for something else here.
    """
    if not os.path.exists(place.spec):
        return None
    link = link_of(place)
    if link is None or not link.grant:
        what = "a deployment of this machine" if link is None else f"your own deployment on {link.site}"
        raise OffloadError(f"{place.name} is {what}", "give it another name here: offload join --name NAME")
    if link.owner != invitation.owner:
        raise OffloadError(
            f"{place.name} is another deployment here, that of {link.owner}",
            f"give this one another name here: offload join --name NAME, or: offload leave {place.name}",
        )
    return link


def _link(
    place: Place, before: Link | None, invitation: Invitation, site: str | None, local_ports: tuple[int, int] | None
) -> Link:
    if site is None and before is not None:
        site = before.site
        local_ports = local_ports or before.local_ports
    address = None if site is None else str(SshAddress.parse(site))
    if before is not None and before.site != address:
        raise OffloadError(
            f"{place.name} is reached {'directly' if before.site is None else f'through {before.site}'} until now",
            f"to change that: offload leave {place.name}, then join it again",
        )
    link = Link(
        site=address,
        route=DIRECT if address is None else TUNNEL,
        environment="check",
        local_ports=local_ports,
        grant=invitation.grant,
        owner=invitation.owner,
    )
    return up.with_what_is_known(place, link)


def _let_in(invitation: Invitation, site: Ssh | None, say: Say) -> tuple[str, dict[str, str]]:
    """Get a certificate of the head; return the head's address and all credentials."""
    key, asked = client_certificates.ask()
    gone: HeadGoneError | None = None
    with tempfile.TemporaryDirectory(prefix="offload-") as keys:
        write_whole(os.path.join(keys, "ca.pem"), invitation.authority.encode(), durable=True)
        write_whole(os.path.join(keys, "token"), invitation.token.encode(), durable=True)
        for address in invitation.addresses:
            say(f"asking the head at {address}{'' if site is None else f' through {site.name}'}")
            try:
                with reached(site, address) as url:
                    told = request(url, keys, "POST", "/v1/certificate", {"request": asked}, REACH_SECONDS)
                    contact = request(url, keys, "GET", "/v1/contact", seconds=REACH_SECONDS)
            except OtherHeadError as exc:
                raise OffloadError(
                    f"what answers at {address} is not the deployment {invitation.name} of this string: "
                    "it was brought up anew, or something else is there",
                    f"ask {invitation.owner} for another string: offload invite {invitation.name}",
                ) from exc
            except HeadGoneError as exc:
                gone = gone or exc
                continue
            if site is None:
                _check_services(contact)
            files = {"ca.pem": invitation.authority, "token": invitation.token}
            return address, files | {"dask.pem": told["certificate"], "dask.key": key}
    raise _unreached(invitation, site, gone)


def _unreached(invitation: Invitation, site: Ssh | None, gone: HeadGoneError | None) -> OffloadError:
    owner = invitation.owner
    if site is not None:
        hint = f"is it up, and can that host reach it? ask {owner}: offload status {invitation.name}"
    else:
        hint = f"is it up, and are its ports open to this machine? Through SSH: offload join --ssh {owner}"
    way = "" if site is None else f" through {site.name}"
    return OffloadError(f"the head of {invitation.name} does not answer{way}: {gone.message if gone else ''}", hint)


@contextlib.contextmanager
def reached(site: Ssh | None, address: str) -> Iterator[str]:
    """Give an address at which something is reached from here, for a moment."""
    if site is None:
        yield address
        return
    scheme, host, remote_port = parts(address)
    port = free_port(LOOPBACK, None, None)
    site.forward(port, host, remote_port)
    try:
        yield f"{scheme}://{LOOPBACK}:{port}"
    finally:
        site.cancel(port, host, remote_port)


def _check_services(contact: dict[str, Any]) -> None:
    """See that not only the head is reached."""
    for name in ("scheduler", "jobs", "storage"):
        if contact[name] is None:
            continue
        _, host, port = parts(contact[name])
        try:
            socket.create_connection((host, port), REACH_SECONDS).close()
        except OSError as exc:
            what = "job service" if name == "jobs" else name
            raise OffloadError(
                f"the head answers, but the {what} at {host} port {port} does not: {exc.strerror or exc}",
                "are all of its ports open to this machine? Through SSH: offload join --ssh USER@HOST",
            ) from exc
