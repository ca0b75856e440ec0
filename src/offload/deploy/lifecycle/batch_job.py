"""A head that is a job of a batch system: submitted, waited for, followed from node to node, cancelled."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from typing import Any

from offload.batch import BatchAwayError, JobState, Phase, batch_system
from offload.deploy.config.spec import HEAD_JOB, PROCESS, Spec
from offload.deploy.head_client import HeadGoneError, ask
from offload.deploy.lifecycle.common import prepare, single
from offload.deploy.workers.allocation_requests import head_request, label_of
from offload.deploy.workers.batch_queue import read_jobs
from offload.errors import DamagedError, OffloadError
from offload.registry.contact import Contact
from offload.registry.deployments import Place, Registry
from offload.storage.home import Home
from offload.util.files import write_whole
from offload.util.processes import tail

PENDING_SECONDS, RUNNING_SECONDS, END_SECONDS, INTERVAL = 600.0, 120.0, 40.0, 2.0
CANCEL_SECONDS = 60.0
KNOWN_AFTER = 10.0

_AFTER = {
    "slurm": "--dependency=afterany:{}",
    "sge": "-hold_jid {}",
    "pbs": "-W depend=afterany:{}",
    "moab": "-l depend=afterany:{}",
    "lsf": "-w ended({})",
    "oar": "--anterior={}",
}
"""How a batch system is told that a job begins when another one has ended."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[[str], None]


def _path(place: Place) -> str:
    return os.path.join(place.path, HEAD_JOB)


def read(place: Place) -> dict[str, Any] | None:
    """Return which job the head is, or None: ``system``, ``id`` and ``submitted``."""
    try:
        with open(_path(place), encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
            return found
    except FileNotFoundError:
        return None


def submit(place: Place, spec: Spec, after: str | None = None) -> str:
    """Submit a job that is the head of a deployment, and keep which one it is.

    One that is there already is that of a submission whose answer was lost: it is kept instead.

    Parameters
    ----------
    place : Place
        The deployment's.
    spec : Spec
        What it is to be.
    after : str, optional
        A job that has to end first: the head that this one takes over from.
    """
    system = batch_system(spec.keep)
    if after is not None and spec.keep in _AFTER:  # else it waits for the lock of its place
        more = [*spec.head_job.get("directives", ()), _AFTER[spec.keep].format(after)]
        spec = dataclasses.replace(spec, head_job={**spec.head_job, "directives": more})
    request = head_request(place, spec)
    before = read(place)
    others = {job for job in (after, before["id"] if before is not None else None) if job is not None}
    job = system.named(request.name, others) or system.submit_once(request, others)
    write_whole(_path(place), json.dumps({"system": spec.keep, "id": job, "submitted": time.time()}))
    return job


def look(place: Place) -> JobState | None:
    """Return how the head's job is; None where there is none.

    Raises
    ------
    BatchAwayError
        If the batch system does not answer.
    """
    kept = read(place)
    if kept is None:
        return None
    found = batch_system(kept["system"]).query([kept["id"]])[kept["id"]]
    if found.phase is Phase.UNKNOWN and time.time() - kept["submitted"] < KNOWN_AFTER:
        return JobState(Phase.PENDING, reason="just submitted")
    return found


def described(place: Place) -> str:
    """Return how the head's job is, in the batch system's words, as a state of the deployment."""
    try:
        found = look(place)
    except BatchAwayError as exc:
        return f"unknown: {exc.message}"
    if found is None or found.is_over:
        return "dead"
    return f"pending: {found.reason}" if found.phase is Phase.PENDING else "starting"


def up(registry: Registry, place: Place, spec: Spec, say: Say, again: bool = False) -> tuple[Contact, bool]:
    """Bring up a deployment whose head is a job, unless it is; see :func:`offload.deploy.lifecycle.local.up`."""
    Home(registry.home)
    with single(place, say, again):
        contact = _known(place)
        if contact is not None and contact.state == "running" and contact.head_lives():
            return contact, False
        say("making certificates")
        new = read(place) is None
        prepare(registry, spec)
        try:
            return wait(place, spec, say), True
        except BaseException as exc:
            if new and (isinstance(exc, KeyboardInterrupt) or read(place) is None):
                cancel_all(place, spec, say)
                registry.remove(place.name)
            raise


def end(place: Place, spec: Spec, contact: Contact | None, say: Say) -> None:
    """End the head's job, where it is one, and then all jobs that are left."""
    if spec.keep != PROCESS and contact is not None and contact.head_lives():
        try:
            ask(place, contact, "POST", "/v1/down")
            say("waiting for the head to end")
            until_over(place, END_SECONDS)
        except HeadGoneError:
            pass  # its job is cancelled
    elif spec.keep == PROCESS and contact is not None and contact.head_lives():
        return  # it will cancel them itself
    cancel_all(place, spec, say)


def wait(place: Place, spec: Spec, say: Say) -> Contact:
    """Submit the head's job, unless it is there, and wait until the deployment is up.

    Raises
    ------
    OffloadError
        If it does not come up; one that is still in the queue stays there.
    """
    found = None if read(place) is None else look(place)
    if found is None or found.is_over:
        say(f"submitting the head to {batch_system(spec.keep).title}")
        submit(place, spec)
    begun, told, running_since = time.monotonic(), "", None
    while True:
        kept = read(place)
        assert kept is not None
        contact = _known(place)
        if contact is not None and contact.state == "running" and contact.head_lives():
            return contact
        try:
            found = look(place)
        except BatchAwayError as exc:
            found, reason = None, exc.message
        if found is not None:
            if found.is_over:
                said = tail(os.path.join(spec.head_job.get("log_directory", place.logs), "head.log"), 1)
                how = found.end or found.word or "is gone"
                raise OffloadError(
                    f"the head's job {kept['id']} {how}: {said or found.reason}", f"its log: {place.logs}"
                )
            reason = f"job {kept['id']} is {found.phase}{': ' + found.reason if found.reason else ''}"
            if found.phase is Phase.RUNNING:
                reason = f"job {kept['id']} runs on {found.nodes}; the head is starting"
                running_since = running_since or time.monotonic()
        if reason != told:
            say(reason)
            told = reason
        if running_since is not None and time.monotonic() - running_since > RUNNING_SECONDS:
            raise OffloadError(
                f"the head of {place.name} was not up after {RUNNING_SECONDS:g} s: {tail(place.log('head'), 1)}",
                f"its log: {place.log('head')}",
            )
        if running_since is None and time.monotonic() - begun > PENDING_SECONDS:
            raise OffloadError(
                f"{place.name} is not up yet: {told}",
                f"it stays in the queue: offload up {place.name} waits for it, offload down {place.name} takes it back",
            )
        time.sleep(INTERVAL)


def _known(place: Place) -> Contact | None:
    try:
        return Contact.read(place.contact)
    except DamagedError:
        return None


def cancel_all(place: Place, spec: Spec, say: Say) -> None:
    """See to it that a deployment leaves no job behind, whatever has become of its head.

    Raises
    ------
    BatchAwayError
        If the batch system does not answer: then nobody can tell.
    OffloadError
        If a job does not end.
    """
    for name in {*spec.systems(), spec.keep} - {PROCESS}:
        system = batch_system(name)
        kept = [one["id"] for one in read_jobs(place).values()] if name in spec.systems() else []
        head = read(place)
        if head is not None and head["system"] == name:
            kept.append(head["id"])
        living = [job for job, state in system.query(kept).items() if not state.is_over] if kept else []
        left = sorted({*living, *system.mine(label_of(place))})
        if left:
            say(f"cancelling {len(left)} jobs of {system.title}" if len(left) > 1 else f"cancelling job {left[0]}")
            system.cancel(left)
            deadline = time.monotonic() + CANCEL_SECONDS
            while not all(state.is_over for state in system.query(left).values()):
                if time.monotonic() > deadline:
                    raise OffloadError(
                        f"jobs of {place.name} do not end: {', '.join(left)}",
                        f"look at them with {system.title}'s commands",
                    )
                time.sleep(INTERVAL / 4)


def until_over(place: Place, seconds: float) -> bool:
    """Wait for the head's job to end by itself; tells whether it has."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look(place)
        if found is None or found.is_over:
            return True
        time.sleep(INTERVAL / 4)
    return False
