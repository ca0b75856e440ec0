"""Bringing deployments of this machine up and down, and telling how they are."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from typing import Any

from offload.compute.contact import Contact
from offload.compute.liveness import started
from offload.compute.places import Place, Registry
from offload.deploy import credentials
from offload.deploy.headclient import HeadGoneError, ask
from offload.deploy.processes import family, kill, python, start_detached, tail, wait_until_gone
from offload.deploy.spec import Spec
from offload.errors import OffloadError
from offload.storage.home import Home

UP_SECONDS, DOWN_SECONDS, KILL_SECONDS = 90.0, 20.0, 5.0
INTERVAL = 0.05

Say = Callable[[str], None]
Start = Callable[[list[str], str], int]


def state(place: Place) -> str:
    """Return how a deployment is: ``"running"``, ``"starting"``, ``"stopping"``, ``"dead"`` or ``"down"``.

    One that has ended by itself is ``"ended: "`` and why.
    ``"dead"`` means that its head ended without being told to; `up` starts it again.
    """
    contact = Contact.read(place.contact)
    if contact is None:
        reason = place.end_reason()
        return f"ended: {reason}" if reason else "down"
    return contact.state if contact.head_lives() else "dead"


def up(registry: Registry, spec: Spec, say: Say, start: Start = start_detached) -> tuple[Contact, bool]:
    """Bring a deployment up, unless it is.

    Parameters
    ----------
    registry : Registry
        Where it is made known.
    spec : Spec
        What it is to be. One that is up already stays as it is.
    say : callable
        Is told each step as it happens.
    start : callable
        Starts the head by its command and log, and returns its process id.

    Returns
    -------
    (Contact, bool)
        Where it is, and whether it had to be started.

    Raises
    ------
    OffloadError
        If it does not come up in time; the message ends with the last lines of the log that explains it.
    """
    place = registry.place(spec.name)
    if state(place) == "running":
        contact = Contact.read(place.contact)
        assert contact is not None
        return contact, False
    if state(place) == "dead":
        say("its head has died; starting it again")
        _sweep(place)
    _check_storage(Home(registry.home, spec.buffers, spec.database))
    registry.create(spec.name, spec.to_json(), spec.buffers, spec.database)
    say("making certificates")
    credentials.create(place.keys, [spec.host, "localhost"])
    say("starting the head")
    pid = start(python("offload.deploy.head", place.path), place.log("head"))
    try:
        return _wait_for(place, pid, say), True
    except BaseException:  # also Ctrl-C: what was begun does not stay half-way
        kill(family(pid), signal.SIGKILL)
        _sweep(place)
        raise


def _check_storage(home: Home) -> None:
    """Open the store and the database: what is wrong with them is to be known before anything is started."""
    from offload.compute.session import Session

    session = Session(home)
    try:
        session.store.has([])
        session.database.lookup([])
    finally:
        session.close()


def _wait_for(place: Place, pid: int, say: Say) -> Contact:
    deadline = time.monotonic() + UP_SECONDS
    told: set[str] = set()
    while time.monotonic() < deadline:
        contact = Contact.read(place.contact)
        if contact is not None and contact.head["pid"] == pid:
            for what, address in (("storage", contact.storage), ("scheduler", contact.scheduler)):
                if address and what not in told:
                    told.add(what)
                    say(f"the {what} is at {address}")
            if contact.state == "running":
                return contact
        if started(pid) is None:
            reason = tail(place.log("head"), 1) or "it said nothing"
            raise OffloadError(f"the head of {place.name} ended at once: {reason}", f"its log: {place.log('head')}")
        time.sleep(INTERVAL)
    kill(family(pid), signal.SIGKILL)
    said = filter(None, (tail(place.log(who), 1) for who in ("scheduler", "jobs", "storage")))
    raise OffloadError(
        f"{place.name} was not up after {UP_SECONDS:.0f} s: {next(said, 'nothing was said')}",
        f"its logs: {place.logs}",
    )


def down(registry: Registry, place: Place, say: Say) -> None:
    """Bring a deployment down: nothing of it runs afterwards, and its files are gone.

    Raises
    ------
    OffloadError
        If a process of it cannot be ended.
    """
    contact = Contact.read(place.contact)
    if contact is not None and contact.head_lives():
        members = family(contact.head["pid"])
        try:
            ask(place, contact, "POST", "/v1/down", {})
        except HeadGoneError:
            kill({contact.head["pid"]: contact.head["started"]}, signal.SIGTERM)
        say("waiting for its processes to end")
        left = wait_until_gone(members, DOWN_SECONDS)
        if left:
            say(f"{len(left)} processes did not end by themselves; ending them")
            kill(left, signal.SIGKILL)
            left = wait_until_gone(left, KILL_SECONDS)
        if left:
            raise OffloadError(f"processes of {place.name} are still there: {', '.join(map(str, left))}")
    _sweep(place)
    registry.remove(place.name)


def _sweep(place: Place) -> None:
    """Remove what a head that was killed has left: its contact file, and the directory of its socket."""
    contact = Contact.read(place.contact)
    if contact is None:
        return
    runtime = contact.head.get("runtime")
    if runtime and os.path.isdir(runtime):
        shutil.rmtree(runtime)
    os.unlink(place.contact)


def status(place: Place) -> dict[str, Any]:
    """Return what the head says of its deployment, or what can be said without one."""
    contact = Contact.read(place.contact)
    if contact is None or not contact.head_lives():
        return {"name": place.name, "state": state(place), "services": [], "workers": []}
    try:
        return ask(place, contact, "GET", "/v1/status")
    except HeadGoneError as exc:
        return {"name": place.name, "state": "silent", "reason": exc.message, "services": [], "workers": []}
