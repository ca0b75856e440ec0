"""Inviting to a deployment that is up: from its machine, or from wherever its owner uses it."""

from __future__ import annotations

import os
import time
from typing import Any

from offload.deploy.config.spec import WILDCARD, Spec, spec_of
from offload.deploy.head_client import ask
from offload.deploy.routes.base import parts
from offload.deploy.security import credentials, grants
from offload.deploy.security.invitation import Invitation
from offload.errors import UsageError
from offload.http.auth import owner
from offload.http.listen import is_loopback
from offload.registry.contact import Contact
from offload.registry.deployments import Place


def invite(place: Place, contact: Contact, label: str, seconds: float | None) -> Invitation:
    """Return a new invitation to a deployment, which nobody can show again.

    Parameters
    ----------
    place : Place
        The deployment.
    contact : Contact
        Where it is.
    label : str
        Whom or what it is for.
    seconds : float, optional
        For how long.

    Raises
    ------
    OffloadError
        If nobody can be invited to it.
    """
    spec = spec_of(place)
    if spec.scheduler is not None or not contact.head["url"]:
        raise UsageError(f"nobody can be invited to {place.name}: its scheduler is not offload's", "offload up")
    if spec.link is None:
        grant, token = grants.give(place, label, seconds)
        told: dict[str, Any] = {"token": token, "grant": grant.id, "owner": owner(), "expires": grant.expires}
        heads = [contact.head["url"], *_also(spec, contact.head["url"])]
    else:
        told = ask(place, contact, "POST", "/v1/grants", {"label": label, "seconds": seconds})
        heads = [spec.link.head]
    with open(credentials.authority(place.keys), encoding="ascii") as file:
        authority = file.read()
    return Invitation(place.name, tuple(heads), authority, told["token"], told["grant"], told["owner"], told["expires"])


def _also(spec: Spec, url: str) -> list[str]:
    """Return where a head is reached, too, by those who come in through its machine."""
    scheme, _, port = parts(url)
    return [f"{scheme}://127.0.0.1:{port}"] if spec.host == WILDCARD else []


def invited(place: Place, contact: Contact | None) -> list[dict[str, Any]]:
    """Return the invitations to a deployment, as plain values."""
    if spec_of(place).link is None:
        return [grants.described(grant) for grant in grants.grants_of(place)]
    assert contact is not None
    found: list[dict[str, Any]] = ask(place, contact, "GET", "/v1/grants")["grants"]
    return found


def revoke(place: Place, contact: Contact | None, which: str) -> dict[str, Any]:
    """Take an invitation back, and return it as plain values."""
    if spec_of(place).link is None:
        return grants.described(grants.revoke(place, which))
    assert contact is not None
    return ask(place, contact, "POST", "/v1/grants/revoke", {"grant": which})


def instructions(invitation: Invitation) -> list[str]:
    """Return what an owner is shown beside a join string: what it is, and what to type on the other machine."""
    until = ""
    if invitation.expires is not None:
        until = f", until {time.strftime('%Y-%m-%d %H:%M', time.localtime(invitation.expires))}"
    shown = invitation.addresses[0]
    direct = f"where {shown} is reached" if not is_loopback(parts(shown)[1]) else ""
    return [
        f"# The join string below is a shell as {invitation.owner} for whoever has it{until}: keep it secret.",
        f"# To take it back: offload revoke {invitation.name} {invitation.grant}",
        *(_block(f"Paste on another machine, {direct}:", "offload join", invitation) if direct else _not_direct()),
        *_block("Or through SSH:" if direct else "Paste on another machine:", _by_ssh(invitation), invitation),
    ]


_SUBMITTED_ON = ("SLURM_SUBMIT_HOST", "PBS_O_HOST", "SGE_O_HOST", "LSB_SUB_HOST")


def _by_ssh(invitation: Invitation) -> str:
    """Return what to type for a tunnel; of a job, through where it was submitted: nodes let nobody in."""
    user, _, host = invitation.owner.rpartition("@")
    if not is_loopback(parts(invitation.addresses[0])[1]):
        host = next(filter(None, map(os.environ.get, _SUBMITTED_ON)), host)
    return f"offload join --ssh {user}@{host}"


def _not_direct() -> list[str]:
    return ["# It listens on loopback: it is reached through SSH. For direct use: offload up --host ADDRESS"]


def _block(title: str, command: str, invitation: Invitation) -> list[str]:
    return ["", f"# {title}", f"{command} <<'END'", invitation.text(), "END"]
