"""What bringing deployments up and down has in common, wherever their head runs."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from offload.deploy.config.link import Link
from offload.deploy.config.spec import HEAD_JOB, Spec, spec_of
from offload.deploy.endpoints import known_as, located
from offload.deploy.security import credentials
from offload.errors import DamagedError, NotFoundError, OffloadError
from offload.notices import counted
from offload.registry.contact import Contact
from offload.registry.deployments import Place, Registry
from offload.registry.locks import alone
from offload.storage.home import Home
from offload.util.files import write_whole
from offload.util.liveness import is_alive, is_locked
from offload.util.processes import family, kill, of_place, wait_until_gone

UP_SECONDS, DOWN_SECONDS, KILL_SECONDS = 90.0, 40.0, 5.0
INTERVAL = 0.05
ROOM = 1_000_000
"""Bytes that certificates, logs and a new database need at the least."""

Say = Callable[[str], None]


def known(place: Place) -> Contact | None:
    """Return what the contact file says; None where there is none, or where a crash has damaged it."""
    try:
        return Contact.read(place.contact)
    except DamagedError:
        return None


def link_of(place: Place) -> Link | None:
    """Return how a deployment on another machine is reached; None for one of this machine, or where nobody can tell."""
    try:
        return spec_of(place).link
    except (DamagedError, FileNotFoundError):
        return None


def prepare(registry: Registry, spec: Spec) -> None:
    """Make the place of a deployment, with its spec and its credentials, those that are not there yet."""
    Home(registry.home)
    kept = spec.clients_storage()
    place = registry.create(spec.name, spec.to_json(), *kept)
    credentials.create(place.keys, known_as(located(spec)))


@contextmanager
def single(place: Place, say: Say, again: bool = False) -> Iterator[None]:
    """Let nobody else bring a deployment up or down meanwhile; with `again`, only where it is still known."""
    with alone(place.changing, UP_SECONDS, lambda: say(f"somebody else is bringing {place.name} up or down; waiting")):
        if again and not os.path.exists(place.spec):
            raise NotFoundError(f"{place.name} has been brought down", f"offload up --name {place.name}")
        yield


def end_elsewhere(place: Place) -> None:
    """Have whoever serves a deployment in another container end, where no signal and maybe no network reaches them.

    Raises
    ------
    OffloadError
        If they do not.
    """
    contact = known(place)
    if contact is None or not contact.is_of_another_container() or not is_locked(place.lock):
        return
    write_whole(place.end, "")
    deadline = time.monotonic() + DOWN_SECONDS
    while is_locked(place.lock):
        if time.monotonic() > deadline:
            raise OffloadError(
                f"{place.name} runs in another container of this machine, and does not end", "end that container"
            )
        time.sleep(INTERVAL)


def has_head_job(place: Place) -> bool:
    """Tell whether the head of a deployment is a job of a batch system."""
    return os.path.exists(os.path.join(place.path, HEAD_JOB))


def end_all(
    place: Place, seconds: float = 0.0, say: Say = lambda _: None, others: dict[int, str] | None = None
) -> None:
    """See to it that no process of a deployment is left, nor what a head that was killed leaves in the file system.

    Parameters
    ----------
    place : Place
        The deployment.
    seconds : float
        How long its processes may take to end by themselves, once they have been told to; with 0 they are killed.
    say : callable
        Is told when they do not.
    others : dict of int to str, optional
        Processes that are to end, too, with all that descends from them (id: start time).

    Raises
    ------
    OffloadError
        If one cannot be ended.
    """
    contact = known(place)
    if seconds:
        told = of_place(place.path, "offload.deploy.head") | (others or {})
        if contact is not None:  # what was started by hand goes by other names
            told[contact.head["pid"]] = contact.head["started"]
        kill(told, signal.SIGTERM)
    left = wait_until_gone(_members(place, others), seconds)
    if left:
        if seconds:
            say(f"{counted(len(left), 'process', 'processes')} did not end when asked; killing")
        left |= _members(place, others)
        kill(left, signal.SIGKILL)
        left = wait_until_gone(left, KILL_SECONDS)
    if left:
        raise OffloadError(f"processes of {place.name} are still there: {', '.join(map(str, left))}")
    head = contact.head if contact is not None else {}
    for directory in filter(None, (head.get("runtime"), head.get("scratch"))):
        shutil.rmtree(directory, ignore_errors=True)
    if os.path.exists(place.contact):
        os.unlink(place.contact)


def _members(place: Place, others: dict[int, str] | None = None) -> dict[int, str]:
    """Return all processes of a deployment, and others with what descends from them (id: start time)."""
    found: dict[int, str] = {}
    contact = known(place)
    head = [contact.head["pid"]] if contact is not None and contact.head_lives() else []
    for pid in (*of_place(place.path), *head):
        found |= family(pid)
    for pid, since in (others or {}).items():
        if is_alive(pid, since):
            found |= family(pid)
    return found
