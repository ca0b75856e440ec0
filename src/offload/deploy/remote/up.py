"""Bringing deployments on other machines up and down, from here."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import time
from typing import Any

from offload.deploy.config.link import DIRECT, TUNNEL, Link
from offload.deploy.config.spec import PROCESS, Spec, spec_of
from offload.deploy.lifecycle.common import ROOM, Say, end_all, end_elsewhere, known, single
from offload.deploy.remote import replica
from offload.deploy.remote.rpc import SECONDS, ask
from offload.deploy.routes.tunnel import SERVICES
from offload.environments.choice import is_image
from offload.environments.containers import Mounted, container_of, remove
from offload.environments.prepare import prepare
from offload.errors import NotFoundError, OffloadError, RefusedError
from offload.hosts.ssh import COMMAND, Ssh
from offload.registry.connect import elsewhere
from offload.registry.contact import DOWN, REFUSED, Contact
from offload.registry.deployments import Place, Registry
from offload.storage.home import Home
from offload.util.filesystems import check_room
from offload.util.liveness import started
from offload.util.processes import kill, python, start_detached, tail, wait_until_gone
from offload.util.quantities import parse_ports

PENDING_SECONDS = 900.0
CONNECT_SECONDS, DIRECT_SECONDS, END_SECONDS, INTERVAL = 60.0, 18.0, 10.0, 0.05
TELL_AFTER = 3.0


def up(registry: Registry, spec: Spec, say: Say, again: bool = False) -> tuple[Contact, bool]:
    """Bring up a deployment on another machine, and connect to it.

    Parameters
    ----------
    registry : Registry
        Where it is made known here.
    spec : Spec
        With its link.
    say : callable
        Is told each step as it happens.
    again : bool
        Whether it is to be known here already.

    Returns
    -------
    (Contact, bool)
        Where it is reached from here, and whether anything had to be started.

    Raises
    ------
    OffloadError
        If something stands in the way.
    """
    place = registry.place(spec.name)
    assert spec.link is not None
    Home(registry.home)
    check_room(registry.home, ROOM)
    with single(place, say, again):
        contact = known(place)
        if contact is not None and contact.is_elsewhere() and contact.state == "running":
            raise elsewhere(place)
        if contact is not None and contact.head_lives() and contact.state == "running":
            return contact, False
        link = with_what_is_known(place, spec.link)
        if link.local_ports is not None and (contact is None or not contact.head_lives()):
            replica.check_free(link.local_ports)
        site = replica.site_of(link, ask=True)
        if site is None or link.grant:
            if site is not None:
                say(f"connecting to {site.name}")
                site.open()
            return connect(place, say), False
        try:
            begun = _begin_there(registry, dataclasses.replace(spec, link=link), link, site, say, again)
        except BaseException:
            if not os.path.exists(place.spec):  # then nobody else knows of the connection
                site.close()
                shutil.rmtree(link.runtime)
            raise
        return connect(place, say), begun


def with_what_is_known(place: Place, link: Link) -> Link:
    """Return a link with what an earlier connection has found out, where it is the same."""
    ssh = link.ssh or os.environ.get(COMMAND, "")
    return dataclasses.replace(link, runtime=replica.runtime_of(place), ssh=ssh)


def _begin_there(registry: Registry, spec: Spec, link: Link, site: Ssh, say: Say, again: bool) -> bool:
    """Bring the deployment up on its machine, and keep here what is needed to use it."""
    say(f"connecting to {site.name}")
    site.open()
    if link.route == TUNNEL:
        site.check_forwarding(_some_port(link))
    choices = dict(link.choices)
    seen = (*choices.pop("mounts", ()), choices.get("scratch"), choices.get("buffers"))
    seen += (os.path.dirname(choices.get("database", "")),)
    mounted = Mounted(spec.name, paths=tuple(path for path in seen if path))
    interpreter = prepare(site, link.environment, "", say, mounted=mounted).python
    request = {"name": spec.name, "route": link.route, "choices": choices} | ({"again": True} if again else {})
    waits = link.choices.get("keep", PROCESS) != PROCESS  # a job may be pending for long, which it tells
    try:
        answer = ask(site, interpreter, "up", request, say, PENDING_SECONDS if waits else SECONDS)
    except NotFoundError as exc:
        place = registry.place(spec.name)
        before = known(place)
        if again and before is not None:  # it stays down: who needs it finds that here
            Contact(DOWN, before.head, reason=exc.message).write(place.contact)
        raise
    if answer["differences"]:
        what, has, asked = answer["differences"][0]
        say(f"{spec.name} is up there already: {what.replace('_', ' ')} is {has}, not {asked}")
    link = dataclasses.replace(link, python=interpreter, head=answer["contact"]["head"]["url"])
    replica.create(registry, dataclasses.replace(spec, link=link), answer["keys"])
    return bool(answer["started"])


def _some_port(link: Link) -> int:
    """Return a port that the deployment might listen on."""
    ports = link.choices.get("ports")
    return link.choices.get("port") or (parse_ports(ports)[0] if ports else SERVICES["head"])


def connect(place: Place, say: Say) -> Contact:
    """See to it that the connection is kept, and wait until it is there."""
    contact = known(place)
    if contact is None or not contact.head_lives():
        say("making the connection" if contact is None else "making the connection again")
        pid = start_detached(python("offload.deploy.remote.connection", place.path), place.log("link"))
    else:
        pid = contact.head["pid"]
    link = spec_of(place).link
    assert link is not None
    # A head that is a process is up by now: nothing else is waited for than its answer.
    is_direct = link.route == DIRECT and link.choices.get("keep", PROCESS) == PROCESS
    seconds = DIRECT_SECONDS if is_direct else CONNECT_SECONDS
    begun = time.monotonic()
    reason, tried = "", not is_direct
    while time.monotonic() - begun < seconds:
        if not tried and time.monotonic() - begun > TELL_AFTER:
            say(f"trying {link.head}: no answer yet")
            tried = True
        contact = known(place)
        if contact is not None and contact.head["pid"] == pid:
            if contact.state == "running":
                return contact
            if contact.state == REFUSED:
                raise RefusedError(contact.reason, "then: offload join")
            if contact.reason not in ("", reason):
                reason = contact.reason
                say(reason)
        if started(pid) is None and not (contact is not None and contact.is_of_another_container()):
            raise OffloadError(
                f"the connection to {place.name} ended at once: {tail(place.log('link'), 1) or 'it said nothing'}",
                f"its log: {place.log('link')}",
            )
        time.sleep(INTERVAL)
    if is_direct:
        tunnel = f"; or use SSH: offload down {place.name}, then offload up {link.site}" if link.site else ""
        raise OffloadError(
            f"{place.name} is up, but nothing answers at {link.head} for {seconds:.0f} s: is the port open from here?",
            f"what stands in the way: offload doctor {place.name}{tunnel}",
        )
    raise OffloadError(
        f"{place.name} was not reached in {seconds:.0f} s: {reason or tail(place.log('link'), 1)}",
        f"offload doctor {place.name}",
    )


def down(registry: Registry, place: Place, link: Link, say: Say) -> None:
    """End a deployment on another machine, and forget it here. What was recorded there stays.

    Raises
    ------
    OffloadError
        If the machine cannot be reached: then nothing is forgotten.
    """
    site = replica.site_of(link, ask=True)
    if link.grant or site is None:
        _end_by_head(place)
    else:
        if not site.is_open():
            say(f"connecting to {site.name}")
            site.open()
        if not link.python:
            raise OffloadError(f"where offload is on {site.name} is not known", f"offload down {place.name}, there")
        if not _down_there(place, link, site, say):
            say(f"{place.name} is not there any more")
    _forget(registry, place, link, site)


def _down_there(place: Place, link: Link, site: Ssh, say: Say) -> bool:
    """Bring it down on its machine; tell whether it was there."""
    if not is_image(link.environment):
        return bool(ask(site, link.python, "down", {"name": place.name}, say)["down"])
    container = container_of(site, link.python)
    if container is None:  # its file goes when somebody brings the deployment down
        return False
    there = bool(ask(site, link.python, "down", {"name": place.name}, say)["down"])
    remove(site, container)
    return there


def _end_by_head(place: Place) -> None:
    from offload.deploy.head_client import HeadGoneError
    from offload.deploy.head_client import ask as ask_head

    contact = known(place)
    if contact is None:
        raise NotFoundError(f"where the head of {place.name} is, is not known", f"offload leave {place.name}")
    try:
        ask_head(place, contact, "POST", "/v1/down")
    except HeadGoneError as exc:
        hint = f"to forget it here, whatever it does there: offload leave {place.name}"
        raise HeadGoneError(exc.message, hint) from exc


def leave(registry: Registry, place: Place, say: Say) -> None:
    """Forget a deployment on another machine, which goes on there."""
    with single(place, say):
        link = spec_of(place).link
        if link is None:
            raise OffloadError(f"{place.name} is on this machine", f"offload down {place.name}")
        _forget(registry, place, link, replica.site_of(link, ask=False))


def _forget(registry: Registry, place: Place, link: Link, site: Ssh | None) -> None:
    end_keeper(place)  # else it would make the connection again
    if site is not None:
        site.close()
    end_all(place)
    replica.remove(registry, place, link)


def end_keeper(place: Place) -> None:
    """End the process that keeps the connection, where there is one."""
    end_elsewhere(place)
    contact = known(place)
    if contact is not None and contact.head_lives():
        keeper = {contact.head["pid"]: contact.head["started"]}
        kill(keeper, signal.SIGTERM)
        kill(wait_until_gone(keeper, END_SECONDS), signal.SIGKILL)


def described(link: Link) -> dict[str, Any]:
    """Return what a user is shown of a link."""
    values = {"site": link.site, "route": link.route, "environment": link.environment, "local ports": link.local_ports}
    return {key: value for key, value in {**values, **link.choices}.items() if value is not None}
