"""Grants of a deployment: who else may use it, given, listed and taken back. Its services read their file."""

from __future__ import annotations

import dataclasses
import json
import secrets
import time
from contextlib import AbstractContextManager

from offload.deploy.security import credentials
from offload.errors import NotFoundError, UsageError
from offload.http.auth import Admission, Grant, digest, read_grants
from offload.registry.deployments import Place
from offload.registry.locks import alone
from offload.util.files import write_whole

LOCK_SECONDS = 20.0
ENDED_KEPT = 100  # of those that have ended: their holders are told how
LONGEST_LABEL = 60
TOKEN_BYTES = 32


def admission_of(place: Place) -> Admission:
    """Return what tells the services of a deployment who is let in."""
    return Admission(credentials.token(place.keys), place.grants)


def grants_of(place: Place) -> list[Grant]:
    """Return the grants of a deployment of this machine, the oldest first; also those that have ended lately."""
    return read_grants(place.grants)


def give(place: Place, label: str = "", seconds: float | None = None) -> tuple[Grant, str]:
    """Let somebody use a deployment of this machine.

    Parameters
    ----------
    place : Place
        The deployment.
    label : str
        Whom or what it is for; by default its number.
    seconds : float, optional
        For how long; by default as long as the deployment is there.

    Returns
    -------
    (Grant, str)
        The grant, and its token, which is kept nowhere.

    Raises
    ------
    UsageError
        If the label is no short line of text, or the time is over already.
    """
    if len(label) > LONGEST_LABEL or not label.isprintable():
        raise UsageError(f"{label!r} is no label", f"give a line of at most {LONGEST_LABEL} characters")
    if seconds is not None and seconds <= 0:
        raise UsageError("an invitation cannot expire before it is given", "give a time like 8h")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    now = time.time()
    with _alone(place):
        known = grants_of(place)
        number = _new_id({grant.id for grant in known})
        expires = None if seconds is None else now + seconds
        grant = Grant(number, label or number, digest(token), now, expires)
        _keep(place, [*known, grant])
    return grant, token


def revoke(place: Place, which: str) -> Grant:
    """Take a grant back: from now on its token is refused.

    Parameters
    ----------
    place : Place
        The deployment, of this machine.
    which : str
        The grant's id, or its label where there is only one of it alive.

    Raises
    ------
    NotFoundError
        If there is no such grant, or if it has ended.
    """
    with _alone(place):
        known = grants_of(place)
        living = [grant for grant in known if grant.end(time.time()) is None]
        found = [grant for grant in living if grant.id == which] or [g for g in living if g.label == which]
        if len(found) != 1:
            what = f"several invitations to {place.name} are called {which!r}: " if found else ""
            shown = ", ".join(grant.id for grant in found)
            raise NotFoundError(
                f"{what}{shown}" if found else f"there is no invitation {which!r} to {place.name}",
                f"offload invite --list {place.name}",
            )
        ended = dataclasses.replace(found[0], revoked=time.time())
        _keep(place, [ended if grant is found[0] else grant for grant in known])
    return ended


def described(grant: Grant) -> dict[str, object]:
    """Return what an owner is shown of a grant."""
    end = grant.end(time.time())
    state = "alive" if end is None else end.rpartition(" ")[2]
    return {
        "grant": grant.id, "label": grant.label, "state": state, "created": grant.created, "expires": grant.expires,
    }  # fmt: skip


def _new_id(taken: set[str]) -> str:
    while (number := secrets.token_hex(3)) in taken:
        pass
    return number


def _keep(place: Place, grants: list[Grant]) -> None:
    now = time.time()
    ended = [grant for grant in grants if grant.end(now) is not None]
    forgotten = set(ended[: max(0, len(ended) - ENDED_KEPT)])
    kept = [dataclasses.asdict(grant) for grant in grants if grant not in forgotten]
    write_whole(place.grants, json.dumps({"version": 1, "grants": kept}, indent=1) + "\n")


def _alone(place: Place) -> AbstractContextManager[None]:
    return alone(f"{place.grants}.lock", LOCK_SECONDS, lambda: None)
