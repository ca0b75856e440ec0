"""``python -m offload.deploy.remote.connection PLACE``: keep the connection to a deployment on another machine.

It writes the contact file of the deployment's place here, with the addresses at which the services are reached from
here. The connection is made again when it was cut, and services that have moved are followed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any

from offload.deploy import envfile
from offload.deploy.config.link import TUNNEL
from offload.deploy.config.spec import spec_of
from offload.deploy.head_client import HeadGoneError, OtherHeadError, request
from offload.deploy.remote import replica, rpc
from offload.deploy.routes.base import parts
from offload.deploy.security import client_certificates
from offload.environments.choice import is_image
from offload.errors import DamagedError, OffloadError, RefusedError, StorageError
from offload.hosts.ssh import Ssh
from offload.hosts.ssh_errors import LoginNeededError
from offload.registry.contact import AWAY, DOWN, REFUSED, Contact
from offload.registry.deployments import Place, is_unwanted
from offload.registry.locks import settle
from offload.util.liveness import started

CALM, SHORTEST, LONGEST = 2.0, 0.5, 15.0
"""Seconds between two looks while all is well, and between two tries to get through."""

ASK_SECONDS = 10.0


class Keeper:
    """Keeps one connection.

    Parameters
    ----------
    place : Place
        The deployment's, on this machine.
    """

    def __init__(self, place: Place) -> None:
        link = spec_of(place).link
        assert link is not None, f"{place.name} is on this machine"
        self._place = place
        self._link = link
        self._head = link.head
        self._site = replica.site_of(link, ask=False)
        self._contact = _contact_of(place)
        self._route = replica.route_of(link, self._site, _local_ports(place))
        self.told = threading.Event()

    def run(self) -> None:
        """Keep the connection until told to end, or until the deployment has ended."""
        pause = SHORTEST
        while not self.told.is_set() and not is_unwanted(self._place):
            try:
                self._route.open()
                there = self._ask_head()
            except OffloadError as exc:
                self._is_away(exc)
                self.told.wait(pause)
                pause = min(2 * pause, LONGEST)
                continue
            pause = SHORTEST
            if there is not None:
                self._is_there(there)
            self.told.wait(CALM)

    def _ask_head(self) -> dict[str, Any] | None:
        """Return what the head says of its deployment; None where it has ended or died, which is noted."""
        try:
            url = self._route.reach("head", self._head)
            if self._link.grant and client_certificates.is_due(self._place.keys):
                self._renew(url)
            return request(url, self._place.keys, "GET", "/v1/contact", seconds=ASK_SECONDS)
        except HeadGoneError as exc:
            if self._site is None or not self._link.python:
                raise
            if self._link.route == TUNNEL and not self._site.is_open():
                raise OffloadError(f"the connection to {self._site.name} is gone") from exc
        answer = self._ask_there(self._site)
        told, state = answer["contact"], answer["state"]
        if state.startswith(("pending", "unknown")) or (told is None and state == "starting"):
            raise OffloadError(f"its head on {self._link.site} is not up yet: {state}")
        if state in ("running", "starting", "stopping"):
            if told["head"]["url"] != self._head:
                self._moved(told["head"]["url"])
                return None  # at its new place it is asked at once
            if state != "running":
                return dict(told)
            raise OffloadError(f"the head runs on {self._link.site}, but does not answer at {self._head}")
        is_over = state.startswith("ended") or not answer.get("known", True)
        reason = "it has been brought down" if is_over and state == "down" else f"it has {state}" if is_over else ""
        reason = f"{reason or 'its head has died'} on {self._link.site}"
        self._write(Contact(DOWN if is_over else "dead", self._contact.head | self._own(), reason=reason))
        return None

    def _ask_there(self, site: Ssh) -> dict[str, Any]:
        """Return what the other machine knows of the deployment."""
        try:
            return rpc.ask(site, self._link.python, "contact", {"name": self._place.name}, seconds=3 * ASK_SECONDS)
        except rpc.PythonGoneError:
            if is_image(self._link.environment):  # it goes when somebody brings the deployment down
                return {"contact": None, "state": "down", "known": False}
            raise

    def _renew(self, url: str) -> None:
        """Get a new certificate before the one that there is ends."""
        key, asked = client_certificates.ask()
        told = request(url, self._place.keys, "POST", "/v1/certificate", {"request": asked}, ASK_SECONDS)
        client_certificates.keep(self._place.keys, key, told["certificate"])
        log(f"the certificate was renewed, for {told['seconds']:.0f} s")

    def _moved(self, url: str) -> None:
        log(f"the head is at {url} now")
        self._head = url
        replica.note(self._place, head=url)

    def _is_there(self, there: dict[str, Any]) -> None:
        """Note where everything is."""
        reached = {
            name: self._route.reach(name, there[name]) if there[name] is not None else None
            for name in ("scheduler", "jobs", "storage")
        }
        head = {**self._own(), "host": there["head"]["host"], "url": self._route.reach("head", self._head)}
        self._write(Contact(there["state"], head, reason="", **reached))

    def _is_away(self, error: OffloadError) -> None:
        reason = error.message
        if isinstance(error, LoginNeededError):
            reason = f"{self._link.site} wants you to log in: offload up {self._place.name}"
        known = self._contact
        if self._link.grant and isinstance(error, RefusedError | OtherHeadError):
            if isinstance(error, OtherHeadError):
                reason = "it was brought up anew, or something else is in its place: join it again"
            reason = f"{reason}; ask {self._link.owner} for another join string"
            self._write(Contact(REFUSED, known.head | self._own(), known.scheduler, known.jobs, known.storage, reason))
            return
        if known.state == "starting" and not known.head.get("url"):
            self._write(Contact("starting", self._own(), reason=reason))
            return
        if self._link.grant and known.state in ("stopping", DOWN):  # it was about to end when last heard of
            reason = f"it was brought down where it is; ask {self._link.owner}"
            self._write(Contact(DOWN, known.head | self._own(), reason=reason))
            return
        if self._link.grant:  # nobody else can be asked what has become of it
            reason = f"{reason}; if that lasts, ask {self._link.owner} whether it is still up"
        self._write(Contact(AWAY, known.head | self._own(), known.scheduler, known.jobs, known.storage, reason))

    def _own(self) -> dict[str, Any]:
        pid = os.getpid()
        known = {"host": self._contact.head.get("host", ""), "url": self._contact.head.get("url", "")}
        own = {"pid": pid, "started": started(pid), "node": os.uname().nodename}
        return {**known, **own, "runtime": self._link.runtime}

    def begin(self) -> None:
        """Say that the connection is being made."""
        before = self._contact
        self._contact = Contact("starting", {})
        kept = Contact("starting", {**before.head, **self._own()}, before.scheduler, before.jobs, before.storage)
        self._write(kept if before.head.get("url") else Contact("starting", self._own()))

    def _write(self, contact: Contact) -> None:
        if vars(contact) != vars(self._contact):
            if (contact.state, contact.reason) != (self._contact.state, self._contact.reason):
                log(f"{self._place.name} is {contact.state}{': ' + contact.reason if contact.reason else ''}")
            try:
                contact.write(self._place.contact)
            except StorageError as exc:
                log(f"{exc.message}; trying again")
                return
            self._contact = contact
            if contact.state == "running":
                envfile.refresh(self._place, contact)


def _contact_of(place: Place) -> Contact:
    """Return what an earlier connection has left behind: local ports are kept."""
    try:
        return Contact.read(place.contact) or Contact("starting", {})
    except DamagedError:
        return Contact("starting", {})


def _local_ports(place: Place) -> dict[str, int]:
    contact = _contact_of(place)
    known = {"head": contact.head.get("url"), **{n: getattr(contact, n) for n in ("scheduler", "jobs", "storage")}}
    return {name: parts(address)[2] for name, address in known.items() if address}


def log(text: str) -> None:
    """Write a line to the log of the connection."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} offload link: {text}\n")
    sys.stderr.flush()


def main(path: str) -> int:
    """Keep the connection of the deployment in a directory, unless that is being done."""
    place = Place(path)
    if not settle(place):
        log(f"the connection of {place.name} is kept already")
        return 1
    keeper = Keeper(place)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: keeper.told.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    keeper.begin()
    keeper.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
